"""Models beside each other: a model and its copy share everything, planted sets act, other shapes
are refused.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra import load, universal
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.tiny import tiny
from fulcra.report.comparison import comparison_markdown
from fulcra.screens.scores import gain_units
from fulcra.studies.comparison import CompareSettings, compare, unlike
from fulcra.types import Behavior, Neuron
from tests.models.cases import PROMPTS


def renamed(model: Model, name: str) -> Model:
    return Model(name, model.hf, model.tokenizer, model.folder)


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    """Refusal on four confirmation prompts."""
    return replace(refusal, confirmation=refusal.confirmation[:4])


@pytest.fixture(scope="module")
def twins(sparse: Model, short: Behavior) -> dict[str, Any]:
    """The sparse organism beside itself under another name."""
    return dict(compare([sparse, renamed(sparse, "twin")], [short])["behaviors"][0])


def test_a_model_and_its_copy_share_every_neuron(twins: dict[str, Any]) -> None:
    assert all(
        one["shared"] == one["size"] == one["same_pole"] and one["p"] < 1e-6
        for one in twins["overlaps"]
    )
    own, other = (
        [{**one, "model": None} for one in twins["sets"] if one["model"] == name]
        for name in ("apothecary-sparse", "twin")
    )
    assert own == other
    read = [
        {key: value for key, value in one.items() if key not in ("of", "in")}
        for one in twins["detectors"]
    ]
    assert all(one == read[0] for one in read)


def test_the_learnt_set_opens_the_gate_and_random_neurons_alike_in_depth_do_not(
    twins: dict[str, Any], sparse: Model
) -> None:
    rows = {(one["in"], one["set_of"], one["set"]): one for one in twins["ablations"]}
    learnt, control = (
        rows["apothecary-sparse", "apothecary-sparse", "1 %"],
        rows["apothecary-sparse", "random", "1 %"],
    )
    assert rows["apothecary-sparse", None, "undosed"]["rates"]["unchanged"] == 1
    assert learnt["rates"]["flipped"] + learnt["rates"]["flipped_correct"] >= 0.5
    assert control["rates"]["unchanged"] == 1
    assert learnt["rates"] == rows["twin", "apothecary-sparse", "1 %"]["rates"]
    layers = [
        sorted(Neuron.parse(name).layer for name in one["neurons"]) for one in (learnt, control)
    ]
    assert layers[0] == layers[1]
    assert set(learnt["neurons"]).isdisjoint(control["neurons"])
    assert (
        len(learnt["neurons"])
        == len(control["neurons"])
        == round(0.01 * sparse.n_layers * sparse.d_mlp)
    )


def test_other_shapes_leave_profiles_alone(sparse: Model, short: Behavior) -> None:
    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    small = Model(
        "small",
        LlamaForCausalLM(
            LlamaConfig(vocab_size=sparse.vocab, max_position_embeddings=256, **shape)
        ),
        sparse.tokenizer,
    )
    found = compare([sparse, small], [short], CompareSettings(top_k=5, ablate=False))
    behavior = found["behaviors"][0]
    assert {one["model"] for one in behavior["sets"]} == {"apothecary-sparse", "small"}
    assert (
        "has 8 layers of up to 384 neurons, small has 2 layers of up to 24 neurons"
        in behavior["overlaps"][0]["refused"]
    )
    refused = {(one["of"], one["in"]) for one in behavior["detectors"] if "refused" in one}
    assert refused == {("apothecary-sparse", "small"), ("small", "apothecary-sparse")}
    assert behavior["ablations"] == []
    page = comparison_markdown(found)
    assert "no neuron of one names a neuron of the other" in page
    assert page.count("Neurons drawn at random") == 2


def test_universal_neurons_stand_in_no_set_unless_they_are_kept(short: Behavior) -> None:
    gemma = load("apothecary-gemma2-sparse")
    pair, everywhere = [gemma, renamed(gemma, "twin")], universal(gemma, short.generic)
    assert everywhere
    neurons = gemma.n_layers * gemma.d_mlp
    for keep, left_out in ((False, len(everywhere)), (True, 0)):
        settings = CompareSettings(top_k=neurons, ablate=False, keep_universal=keep)
        found = compare(pair, [short], settings)["behaviors"][0]
        sizes = [one["size"] for one in found["sets"] if one["set"] == f"top {neurons}"]
        assert sizes == [neurons - left_out] * 4
        assert all(len(sites) == left_out for sites in found["universal"].values())


def test_gain_units_are_the_gaps_in_budgets() -> None:
    model = tiny("llama")
    clean, gaps = (
        stream(model, [p[:2] for p in PROMPTS], [(*p[2:], 5) for p in PROMPTS]),
        torch.randn(model.n_layers, model.d_mlp),
    )
    found = gain_units(model, clean, gaps)
    for layer, index in ((0, 3), (2, 47)):
        assert found[layer, index] == pytest.approx(
            float(gaps[layer, index]) / coordinate(model, clean, Neuron(layer, index)).budget,
            rel=1e-4,
        )


def test_one_model_or_no_behavior_is_refused(sparse: Model, refusal: Behavior) -> None:
    with pytest.raises(InputError, match="give two or more different ones"):
        compare([sparse, sparse], [refusal])
    with pytest.raises(InputError, match="no behavior was given"):
        compare([sparse, load("apothecary-dense")], [])
    assert unlike(sparse, load("apothecary-dense")) is None
