"""The laws of reading and writing a neuron, on a tiny random model of every family in float32."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from fulcra.formulas.saturation import alignment_after
from fulcra.models import Model, ablate_direction, add, applied_rows, check, scale
from fulcra.models.capture import as_read, stream
from fulcra.models.checks import zeroed_column
from fulcra.models.effective import probe
from fulcra.models.experts import router_weight
from fulcra.models.families import FAMILIES
from fulcra.models.read_hooks import Routed, block_outputs, mlp_inputs
from fulcra.models.tiny import CONFIGS, D_MLP, D_MODEL, tiny
from fulcra.types import Edits
from tests.models.cases import (
    ALL,
    MIXTURES,
    PRE_NORM,
    PROMPTS,
    direction,
    logits_of,
    model_of,
    routed_neuron,
    row_edits,
)

CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def hook_count(model: Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())


def greedy(model: Model, prompt: tuple[int, ...], tokens: int = 6) -> Tensor:
    ids = torch.tensor([prompt])
    return model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
    )[0, len(prompt) :]


def test_every_row_has_a_tiny_model_whose_d_mlp_is_not_d_model() -> None:
    assert set(CONFIGS) == set(FAMILIES)
    assert D_MLP != D_MODEL


@pytest.mark.parametrize("family", ALL)
def test_every_check_passes(family: str) -> None:
    assert [str(entry) for entry in check(model_of(family)) if not entry.passed] == []


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_a_padded_batch_equals_its_rows_alone(family: str, left: bool) -> None:
    model = model_of(family)
    alone = torch.cat([logits_of(model, (row,)) for row in PROMPTS])
    assert_close(logits_of(model, left=left), alone, **CLOSE)


@pytest.mark.parametrize("family", ALL)
def test_rows_edited_together_equal_rows_edited_alone(family: str) -> None:
    model = model_of(family)
    edits = row_edits(model)
    with applied_rows(model, edits):
        together = logits_of(model)
    alone = []
    for row, edit in zip(PROMPTS, edits, strict=True):
        with applied_rows(model, edit, every_row=True):
            alone.append(logits_of(model, (row,)))
    assert_close(together, torch.cat(alone), **CLOSE)
    clean = logits_of(model)
    assert [
        bool((entry - other).abs().max() > 1e-4)
        for entry, other in zip(together, clean, strict=True)
    ] == [True, False, True, True]


@pytest.mark.parametrize("family", ALL)
def test_the_cache_does_not_change_an_edited_reply(family: str) -> None:
    model = model_of(family)
    edits: Edits = (add(routed_neuron(model, 1), alpha=4.0), scale(routed_neuron(model, 2, 7), 0.0))
    with applied_rows(model, edits, every_row=True):
        cached = greedy(model, PROMPTS[0])
        row = PROMPTS[0]
        for _ in cached:
            # generate() was told not to end
            row = (
                *row,
                int(
                    logits_of(model, (row,))[0]
                    .index_fill(0, torch.tensor([2]), -torch.inf)
                    .argmax()
                ),
            )
    assert cached.tolist() == list(row[len(PROMPTS[0]) :])


@pytest.mark.parametrize("family", ALL)
def test_generating_without_the_activation_equals_the_model_without_the_column(family: str) -> None:
    model = model_of(family)
    neuron = routed_neuron(model, 1)
    with applied_rows(model, (scale(neuron, 0.0),), every_row=True):
        edited, logits = greedy(model, PROMPTS[0]), logits_of(model)
    with zeroed_column(model, neuron):
        assert edited.tolist() == greedy(model, PROMPTS[0]).tolist()
        assert_close(logits, logits_of(model), **CLOSE)


@pytest.mark.parametrize("family", sorted(set(ALL) - set(MIXTURES)))
def test_a_dose_equals_the_model_with_a_bias_along_the_column(family: str) -> None:
    model = tiny(family)
    neuron, down = routed_neuron(model, 1), model.down(1)
    with applied_rows(model, (add(neuron, alpha=2.5),), every_row=True):
        edited, logits = greedy(model, PROMPTS[0]), logits_of(model)
    bias = 0.0 if down.bias is None else down.bias.data  # type: ignore[union-attr]
    down.bias = nn.Parameter(bias + 2.5 * model.write(neuron))
    assert_close(logits, logits_of(model), **CLOSE)
    assert edited.tolist() == greedy(model, PROMPTS[0]).tolist()


@pytest.mark.parametrize("family", ALL)
def test_hooks_are_gone_also_after_an_exception(family: str) -> None:
    model = model_of(family)
    clean = logits_of(model)
    with applied_rows(model, row_edits(model)):
        assert hook_count(model) > 0
    with pytest.raises(RuntimeError, match="mine"), applied_rows(model, row_edits(model)):
        raise RuntimeError("mine")
    assert hook_count(model) == 0
    assert torch.equal(logits_of(model), clean)


@pytest.mark.parametrize("family", ALL)
def test_an_activation_times_one_changes_no_bit(family: str) -> None:
    model = model_of(family)
    clean = logits_of(model)
    with applied_rows(model, [(scale(routed_neuron(model, 1), 1.0),)] * len(PROMPTS)):
        assert torch.equal(logits_of(model), clean)


@pytest.mark.parametrize("family", PRE_NORM)
def test_a_dose_turns_the_real_stream_by_the_alignment_formula(family: str) -> None:
    model, layer, alpha = model_of(family), 1, 5.0
    neuron, ids = routed_neuron(model, layer), torch.tensor([PROMPTS[0]])
    with torch.no_grad(), block_outputs(model) as clean, mlp_inputs(model, 1) as reads:
        model.hf(input_ids=ids, use_cache=False)
    with (
        torch.no_grad(),
        block_outputs(model) as dosed,
        applied_rows(model, (add(neuron, alpha=alpha),), every_row=True),
    ):
        model.hf(input_ids=ids, use_cache=False)
    calls = reads[layer]
    routed = (
        router_weight(calls.expert_ids, calls.weights, neuron.expert or 0)[0]
        if isinstance(calls, Routed)
        else torch.ones(ids.shape[1])
    )
    before, after, write = (
        as_read(model, entry) for entry in (clean[layer][0], dosed[layer][0], model.write(neuron))
    )
    gain = alpha * routed * probe(model).multiplier[layer] * write.norm() / before.norm(dim=-1)
    expected = alignment_after(gain, torch.cosine_similarity(before, write, dim=-1))
    assert (routed > 0).any()
    assert_close(torch.cosine_similarity(after, write, dim=-1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ALL)
def test_an_ablated_direction_is_in_no_stream_that_a_module_reads(family: str) -> None:
    model = model_of(family)
    gone = direction(model, 1)
    read: list[Tensor] = []
    places = [model.module(block, model.family.mlp_reads, "mlp_reads") for block in model.blocks]
    with (
        applied_rows(model, (ablate_direction(gone),), every_row=True),
        block_outputs(model) as outputs,
    ):
        handles = [
            place.register_forward_pre_hook(lambda module, args: read.append(args[0]))
            for place in (*places, model.blocks[0])
        ]
        logits_of(model)
    for handle in handles:
        handle.remove()
    unit = gone.vector / gone.vector.norm()
    assert len(read) == model.n_layers + 1
    for reads in (*read, *outputs.values()):
        assert float((reads @ unit).abs().max()) < 1e-4


@pytest.mark.parametrize("family", ALL)
def test_writes_are_the_columns_that_single_neurons_name(family: str) -> None:
    model = model_of(family)
    for layer in range(model.n_layers):
        writes = model.writes(layer)
        assert writes.shape == (model.width(layer), model.d_model)
        for slot in (0, 7, len(writes) - 1):
            neuron = model.neuron(layer, slot)
            assert model.slot(neuron) == slot
            assert torch.equal(model.write(neuron), writes[slot])


@pytest.mark.parametrize("family", ALL)
def test_the_clean_stream_is_what_transformers_says_it_is(family: str) -> None:
    model = model_of(family)
    replies = ((40, 50, 60), (70, 80), (3,), (15, 25, 35, 45))
    clean = stream(model, PROMPTS, replies, batch=3)
    result = []
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        with torch.no_grad():
            states = model.hf(
                input_ids=torch.tensor([prompt + reply]), use_cache=False, output_hidden_states=True
            ).hidden_states
        # transformers normalizes its last entry; the others are block inputs
        result.append(
            as_read(model, torch.stack([state[0, len(prompt) :] for state in states[1:-1]]))
        )
    expected = torch.cat(result, 1)
    assert_close(clean.sample[:-1], expected, rtol=1e-4, atol=1e-4)
    assert_close(clean.norm[:-1], expected.norm(dim=-1).mean(-1), rtol=1e-4, atol=1e-4)
    assert_close(
        clean.unit_mean[:-1],
        torch.nn.functional.normalize(expected, dim=-1).mean(1),
        rtol=1e-4,
        atol=1e-4,
    )
    assert_close(
        clean.multiplier, torch.full((3,), 0.22 if family == "granite" else 1.0), rtol=1e-5, atol=0
    )
