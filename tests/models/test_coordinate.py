"""A dose in gain units realises the alignment it names, in every kind of family."""

import math

import pytest
import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.formulas.saturation import alignment_of_gain
from fulcra.models import Model, add, applied_rows
from fulcra.models.batches import padded
from fulcra.models.capture import Stream, as_read, stream
from fulcra.models.coordinate import coordinate, realised_alignment
from fulcra.models.experts import router_weight
from fulcra.models.read_hooks import Routed, block_outputs, mlp_inputs
from fulcra.models.tiny import tiny
from fulcra.types import Edits, Neuron
from tests.models.cases import ALL, MIXTURES, POST_NORM, PRE_NORM, direction, model_of

PROMPTS = tuple((1, 3 + i) for i in range(12))
REPLIES = tuple(tuple((7 * i + 11 * j) % 97 + 3 for j in range(10)) for i in range(12))


def clean_stream(model: Model) -> Stream:
    return stream(model, PROMPTS, REPLIES)


def reply_streams(model: Model, layer: int, edits: Edits = ()) -> tuple[Tensor, Tensor]:
    """The stream of a layer at the reply positions, under edits; and the routing weight of the
    edited expert there.
    """
    ids, _ = padded([p + r for p, r in zip(PROMPTS, REPLIES, strict=True)], model.device)
    expert = next((edit.site.expert for edit in edits if isinstance(edit.site, Neuron)), None)
    with (
        torch.no_grad(),
        applied_rows(model, edits, every_row=True),
        block_outputs(model) as outputs,
        mlp_inputs(model, len(ids)) as reads,
    ):
        model.hf(input_ids=ids, use_cache=False)
    calls = reads[layer]
    routed = (
        router_weight(calls.expert_ids, calls.weights, expert)[:, 2:]
        if expert is not None and isinstance(calls, Routed)
        else None
    )
    stream = as_read(model, outputs[layer][:, 2:].flatten(0, 1))
    return stream, torch.ones(len(stream)) if routed is None else routed.flatten()


def some_neuron(model: Model, layer: int, pole: int) -> Neuron:
    return model.neuron(layer, model.width(layer) // 3, pole)


@pytest.mark.parametrize("family", PRE_NORM)
@pytest.mark.parametrize("pole", [1, -1])
def test_one_budget_writes_as_much_as_the_stream_is_long(family: str, pole: int) -> None:
    model, layer = model_of(family), 1
    neuron = some_neuron(model, layer, pole)
    place = coordinate(model, clean_stream(model), neuron)
    before, _ = reply_streams(model, layer)
    after, routed = reply_streams(model, layer, (place.dose(1.0),))
    write = as_read(model, model.write(neuron)) * pole
    met = routed > 0
    assert float((after - before)[met].norm(dim=-1).mean()) == pytest.approx(
        float(before[met].norm(dim=-1).mean()), rel=1e-3
    )
    assert float(torch.cosine_similarity(after - before, write, dim=-1)[met].min()) > 0.999
    assert place.alignment0 == pytest.approx(
        float(torch.cosine_similarity(before, write, dim=-1)[met].mean()), abs=1e-4
    )
    assert place.cap_alignment is None
    assert place.reaches(1e6)


@pytest.mark.parametrize("family", ALL)
def test_the_realised_range_is_that_of_the_dosed_stream(family: str) -> None:
    model, layer = model_of(family), 2
    neuron, clean = some_neuron(model, layer, -1), clean_stream(model)
    place = coordinate(model, clean, neuron)
    gain = 0.3 if place.cap_alignment is None else 0.5 * place.cap_alignment
    after, routed = reply_streams(model, layer, (place.dose(gain),))
    norm = model.post_norm(layer)
    write = as_read(model, model.write(neuron)) * (
        1 if norm is None else norm(torch.ones(model.d_model)).detach()
    )
    result = -torch.cosine_similarity(after, write, dim=-1)[routed > 0]
    low, high = result.quantile(torch.tensor([0.05, 0.95])).tolist()
    assert realised_alignment(model, clean, place, gain) == pytest.approx((low, high), abs=2e-4)


@pytest.mark.parametrize("family", POST_NORM)
@pytest.mark.parametrize("pole", [1, -1])
def test_rungs_behind_a_norm_are_set_in_realised_alignment(family: str, pole: int) -> None:
    model = model_of(family)
    clean = clean_stream(model)
    for layer in range(model.n_layers):
        neuron = some_neuron(model, layer, pole)
        place = coordinate(model, clean, neuron)
        assert place.cap_alignment is not None
        for share in (0.3, 0.9):
            gain = place.alignment0 + share * (place.cap_alignment - place.alignment0)
            aim = alignment_of_gain(gain)
            after, _ = reply_streams(model, layer, (place.dose(gain),))
            gamma = model.post_norm(layer)(torch.ones(model.d_model)).detach()  # type: ignore[misc]
            result = float(
                torch.cosine_similarity(after, pole * gamma * model.write(neuron), dim=-1).mean()
            )
            assert result == pytest.approx(max(aim, place.alignment0), abs=1e-4)
            assert place.alignment(gain) == pytest.approx(result, abs=1e-4)


@pytest.mark.parametrize("family", POST_NORM)
@pytest.mark.parametrize("pole", [1, -1])
def test_a_dose_of_ten_thousand_reaches_the_closed_form_cap(family: str, pole: int) -> None:
    model, clean = model_of(family), clean_stream(model_of(family))
    for layer in range(model.n_layers):
        neuron = some_neuron(model, layer, pole)
        place = coordinate(model, clean, neuron)
        after, _ = reply_streams(model, layer, (add(neuron, alpha=pole * 1e4),))
        gamma = model.post_norm(layer)(torch.ones(model.d_model)).detach()  # type: ignore[misc]
        result = float(
            torch.cosine_similarity(after, pole * gamma * model.write(neuron), dim=-1).mean()
        )
        assert place.cap_alignment == pytest.approx(result, abs=1e-4)


def test_a_rung_beyond_the_cap_does_not_exist() -> None:
    model = model_of("gemma2")
    place = coordinate(model, clean_stream(model), Neuron(1, 3))
    assert place.cap_alignment is not None
    beyond = 10 * place.cap_alignment / math.sqrt(1 - place.cap_alignment**2)
    assert place.reaches(0.5 * place.cap_alignment)
    assert not place.reaches(beyond)
    with pytest.raises(
        InputError, match=r"L1\.N3\+: gain .* asks for alignment .* caps it at .* norm_capped"
    ):
        place.dose(beyond)


def test_a_rung_that_the_clean_stream_is_beyond_needs_no_dose() -> None:
    model = model_of("gemma2")
    place = next(
        c
        for i in range(20)
        if (c := coordinate(model, clean_stream(model), Neuron(0, i))).alignment0 > 0.02
    )
    assert place.dose(0.01).value == 0.0
    assert place.alignment(0.01) == place.alignment0
    assert place.dose(0.3).value > 0.0


def test_a_direction_is_written_behind_the_norm() -> None:
    model = model_of("gemma2")
    clean = clean_stream(model)
    place = coordinate(model, clean, direction(model, 1))
    before, _ = reply_streams(model, 1)
    after, _ = reply_streams(model, 1, (place.dose(2.0),))
    assert place.cap_alignment is None
    assert float((after - before).norm(dim=-1).mean()) == pytest.approx(
        2 * float(before.norm(dim=-1).mean()), rel=1e-4
    )


def test_a_zero_write_has_no_coordinate() -> None:
    model = tiny("llama")
    model.down(1).weight.data[:, 4] = 0  # type: ignore[union-attr,operator,index]
    with pytest.raises(InputError, match="write direction has norm 0"):
        coordinate(model, clean_stream(model), Neuron(1, 4))


@pytest.mark.parametrize("family", MIXTURES)
def test_an_expert_without_tokens_has_no_coordinate(family: str) -> None:
    model = model_of(family)
    clean = stream(model, PROMPTS[:1], ((5,),))
    assert clean.routing is not None
    idle = int(clean.routing.share[0].argmin())
    with pytest.raises(InputError, match="its expert sees no token"):
        coordinate(model, clean, Neuron(0, 1, expert=idle))
