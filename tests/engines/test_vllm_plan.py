"""What is sent to a vLLM worker, and what it must have done; no vLLM needed."""

from importlib.metadata import PackageNotFoundError

import pytest
import torch

from fulcra.engines.vllm import load as vllm_load
from fulcra.engines.vllm.edit_op import NEURONS
from fulcra.engines.vllm.load import geometry, installed, last_line
from fulcra.engines.vllm.lora import tensors
from fulcra.engines.vllm.plan import (
    Acts,
    EditSets,
    Span,
    first_and_past,
    plain,
    require_in_graphs,
    unmet,
)
from fulcra.errors import EngineError, InputError, ModelError
from fulcra.models import Model, ablate_direction, add_mlp, anchor, direction
from fulcra.models.edits import add
from fulcra.models.tiny import tiny
from fulcra.types import Edit, Neuron

DOSE = Edit(Neuron(3, 54), "add", 9.0)
VECTOR = torch.tensor([3.0, 4.0])


def acts(*edited: int) -> Acts:
    return Acts(edited=list(edited), broken=None, logits=None)


def test_edits_are_plain_values() -> None:
    kept = plain((DOSE, Edit(Neuron(1, 2), "scale", 0.5, positions="last")))
    assert [(e["kind"], e["index"], e["factor"], e["shift"]) for e in kept] == [
        ("neuron", 54, 1.0, 9.0),
        ("neuron", 2, 0.5, 0.0),
    ]
    written = direction(2, VECTOR)
    assert plain((add(written, alpha=2.0),))[0]["vector"] == [6.0, 8.0]
    assert plain((add_mlp(written, 2.0),))[0]["kind"] == "mlp"
    assert plain((ablate_direction(written),))[0]["vector"] == pytest.approx([0.6, 0.8])


def test_directions_of_one_name_and_two_vectors_are_two_sets() -> None:
    sets = EditSets([(), (add_mlp(direction(2, VECTOR)),), (add_mlp(direction(2, -VECTOR)),)])
    assert sets.names == ["", "set 0", "set 1"]
    assert EditSets([(DOSE,), (DOSE,)]).names == ["set 0", "set 0"]


def test_what_hooks_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"add\(L3.N54.E2\+, 9\): vLLM runs all experts"):
        plain((Edit(Neuron(3, 54, expert=2), "add", 9.0),))
    with pytest.raises(InputError, match="taken out and one added"):
        plain((ablate_direction(direction(2, VECTOR)), add(direction(1, VECTOR), alpha=1.0)))
    with pytest.raises(InputError, match="sized by its prompt"):
        plain((anchor(Neuron(3, 54), 8.0, 1.5),))


def test_what_graphs_cannot_hold_is_one_line() -> None:
    written = direction(2, VECTOR)
    crowd = tuple(Edit(Neuron(4, i), "add", 1.0) for i in range(NEURONS + 1))
    refused = {
        crowd: "33 neurons of a layer, and there is room for 32",
        tuple(
            add_mlp(written, float(i)) for i in range(5)
        ): "5 directions, and there is room for 4",
        (ablate_direction(written), ablate_direction(written)): "two directions are taken out",
    }
    for edits, reason in refused.items():
        with pytest.raises(InputError, match=f"inside vLLM's graphs: {reason} in one set; leave"):
            require_in_graphs(edits, "op")
        require_in_graphs(edits, "off")
    require_in_graphs((*crowd[1:], add_mlp(written, 1.0), ablate_direction(written)), "op")


def test_an_adapter_does_nothing_but_scale_a_neuron_everywhere() -> None:
    scaled = Edit(Neuron(3, 54), "scale", 0.5)
    require_in_graphs((scaled, Edit(Neuron(4, 54), "scale", 0.0)), "lora")
    refused = [
        (DOSE,),
        (Edit(Neuron(3, 54), "scale", 0.5, positions="generated"),),
        (scaled, Edit(Neuron(3, 55), "scale", 0.5)),
        (anchor(Neuron(3, 54), 8.0, 1.5),),
        (add_mlp(direction(2, VECTOR)),),
    ]
    for edits in refused:
        line = r"at \w+ tokens: an adapter of rank 1 scales one neuron of a layer, at all tokens"
        with pytest.raises(InputError, match=line) as refusal:
            require_in_graphs(edits, "lora")
        assert "\n" not in str(refusal.value)


def test_an_adapter_is_the_scaled_column_of_the_down_projection() -> None:
    model = tiny("llama")
    edits = (Edit(Neuron(1, 5), "scale", -3.0),)
    name = f"{model.family.layers}.1.{model.family.down}"
    made = tensors(model, edits)
    assert list(made) == [f"base_model.model.{name}.lora_{side}.weight" for side in "AB"]
    picks, writes = made.values()
    assert picks.shape[0] == writes.shape[1] == 1
    weight = model.hf.get_submodule(name).weight.detach()
    activations = torch.randn(4, model.width(1), generator=torch.Generator().manual_seed(0))
    scaled = activations.clone()
    scaled[:, 5] *= -3.0
    assert torch.allclose(activations @ (weight + writes @ picks).T, scaled @ weight.T, atol=1e-6)
    assert not any(tensors(model, ())[key].any() for key in tensors(model, ()) if "lora_B" in key)


def test_scopes_are_those_of_the_local_engine() -> None:
    span = Span(5, 3)
    counts = {"all": 8, "prompt": 5, "last": 1, "generated": 3}
    for positions, count in counts.items():
        first, past = first_and_past(positions, 5)
        assert len(range(max(first, 0), min(past, 8))) == count == span.at(positions)


def test_an_edit_that_acted_too_seldom_or_too_often_is_named() -> None:
    edits = plain((DOSE, add_mlp(direction(2, VECTOR))))
    # a neuron is held by one of two workers, the stream by both
    assert list(unmet(edits, [acts(8, 8), acts(0, 8)], Span(5, 3), 4)) == []
    assert list(unmet(edits, [acts(0, 8), acts(0, 8)], Span(5, 3), 4)) == [(0, 8, 0)]
    assert list(unmet(edits, [acts(8, 8), acts(0, 7)], Span(5, 3), 4)) == [(1, 8, 7)]
    assert list(unmet(edits, [acts()], Span(5, 3), 4)) == [(0, 8, 0), (1, 8, 0)]
    taken = plain((ablate_direction(direction(2, VECTOR)),))
    assert list(unmet(taken, [acts(72)], Span(5, 3), 4)) == []


@pytest.mark.parametrize("number", ["0.31.4", "0.33.0", "1.0.0"])
def test_a_release_that_was_not_tested_is_refused(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_load, "version", lambda name: number)
    with pytest.raises(EngineError, match=f"^vLLM {number}: fulcra's edits were tested on 0.32"):
        installed()


def test_a_machine_without_vllm_is_told_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(vllm_load, "version", absent)
    with pytest.raises(EngineError, match=r"vLLM is not installed; pip install 'fulcra\[vllm\]'"):
        installed()


def test_modules_are_named_as_both_libraries_name_them(sparse: Model) -> None:
    places = geometry(sparse)
    assert places["downs"][3] == "model.layers.3.mlp.down_proj"
    assert places["readers"][0] == "model.layers.0.post_attention_layernorm"
    assert len(places["blocks"]) == sparse.n_layers


def test_a_mixture_is_refused() -> None:
    with pytest.raises(ModelError, match="a mixture; vLLM runs all experts"):
        geometry(tiny("mixtral"))


def test_the_last_line_of_a_long_error_is_short() -> None:
    assert last_line(ValueError("a\n\n b\n")) == "ValueError: b"
    assert last_line(ValueError()) == "ValueError: no word of why"
    assert len(last_line(ValueError("word " * 500))) < 300
