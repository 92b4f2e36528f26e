"""A model and its copy share everything, planted sets act, other shapes are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra import load, universal
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.shapes import unlike
from fulcra.models.tiny import tiny
from fulcra.protocol.results.comparison import (
    BehaviorComparison,
    BorrowedDetector,
    ComparisonResult,
    NoDetector,
    SharedNeurons,
)
from fulcra.report.comparison import comparison_markdown
from fulcra.screens.scores import gain_units
from fulcra.store import read_json
from fulcra.studies.comparison import CompareSettings, compare
from fulcra.types import Behavior, Neuron
from tests.conftest import ROOT
from tests.models.cases import PROMPTS

pytestmark = pytest.mark.slow


def renamed(model: Model, name: str) -> Model:
    return Model(name, model.hf, model.tokenizer, model.folder)


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    """Refusal on four confirmation prompts."""
    return replace(refusal, confirmation=refusal.confirmation[:4])


@pytest.fixture(scope="module")
def comparison(sparse: Model, short: Behavior) -> ComparisonResult:
    """The sparse organism beside itself under another name."""
    return compare([sparse, renamed(sparse, "twin")], [short])


@pytest.fixture
def twins(comparison: ComparisonResult) -> BehaviorComparison:
    """What the twins share of refusal."""
    return comparison.behaviors[0]


def test_a_model_and_its_copy_share_every_neuron(twins: BehaviorComparison) -> None:
    assert len(twins.overlaps) == 6
    for pair in twins.overlaps:
        assert isinstance(pair, SharedNeurons)
        assert pair.shared == pair.size == pair.same_pole
        assert pair.p < 1e-6
    own, other = (
        [{**entry.plain(), "model": None} for entry in twins.sets if entry.model == name]
        for name in ("apothecary-sparse", "twin")
    )
    assert own == other
    detectors = [{**entry.plain(), "of": None, "in": None} for entry in twins.detectors]
    assert len(detectors) == 4
    assert all(entry == detectors[0] for entry in detectors)


def test_the_learnt_set_opens_the_gate_and_random_neurons_alike_in_depth_do_not(
    twins: BehaviorComparison, sparse: Model
) -> None:
    ablations = {(entry.within, entry.set_of, entry.set): entry for entry in twins.ablations}
    learnt = ablations["apothecary-sparse", "apothecary-sparse", "1 %"]
    control = ablations["apothecary-sparse", "random", "1 %"]
    assert ablations["apothecary-sparse", None, "undosed"].rates["unchanged"] == 1
    assert learnt.rates["flipped"] + learnt.rates["flipped_correct"] >= 0.5
    assert control.rates["unchanged"] == 1
    assert learnt.rates == ablations["twin", "apothecary-sparse", "1 %"].rates
    layers = [
        sorted(Neuron.parse(name).layer for name in entry.neurons) for entry in (learnt, control)
    ]
    assert layers[0] == layers[1]
    assert set(learnt.neurons).isdisjoint(control.neurons)
    assert (
        len(learnt.neurons) == len(control.neurons) == round(0.01 * sparse.n_layers * sparse.d_mlp)
    )


def test_a_comparison_is_written_and_read_back(
    comparison: ComparisonResult, tmp_path: Path
) -> None:
    comparison.save(tmp_path)
    assert ComparisonResult.load(tmp_path) == comparison
    assert (tmp_path / "comparison.md").read_text() == comparison_markdown(comparison)
    assert "apothecary-sparse and twin share 32 of 32 (top 32), 0.33 by chance" in repr(comparison)
    assert len(repr(comparison).splitlines()) <= 6


def test_the_shipped_comparison_is_read_and_written_byte_by_byte() -> None:
    content = read_json(ROOT / "docs" / "evidence" / "anatomy.json")["comparison"]
    shipped = ComparisonResult.of(content)
    assert json.dumps(shipped.plain(), indent=1) == json.dumps(content, indent=1)
    assert json.loads(shipped.json_text()) == content


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
    result = compare([sparse, small], [short], CompareSettings(top_k=5, ablate=False))
    behavior = result.behaviors[0]
    assert {entry.model for entry in behavior.sets} == {"apothecary-sparse", "small"}
    assert (
        "has 8 layers of up to 384 neurons, small has 2 layers of up to 24 neurons"
        in behavior.overlaps[0].plain()["refused"]
    )
    refused = {
        (entry.of, entry.within) for entry in behavior.detectors if isinstance(entry, NoDetector)
    }
    assert refused == {("apothecary-sparse", "small"), ("small", "apothecary-sparse")}
    assert sum(isinstance(entry, BorrowedDetector) for entry in behavior.detectors) == 2
    assert behavior.ablations == ()
    page = comparison_markdown(result)
    assert "no neuron of one names a neuron of the other" in page
    assert page.count("Neurons drawn at random") == 2


def test_universal_neurons_stand_in_no_set_unless_they_are_kept(short: Behavior) -> None:
    gemma = load("apothecary-gemma2-sparse")
    pair, everywhere = [gemma, renamed(gemma, "twin")], universal(gemma, short.generic)
    assert everywhere
    neurons = gemma.n_layers * gemma.d_mlp
    for keep, left_out in ((False, len(everywhere)), (True, 0)):
        settings = CompareSettings(top_k=neurons, ablate=False, keep_universal=keep)
        behavior = compare(pair, [short], settings).behaviors[0]
        sizes = [entry.size for entry in behavior.sets if entry.set == f"top {neurons}"]
        assert sizes == [neurons - left_out] * 4
        assert all(len(sites) == left_out for sites in behavior.universal.values())


def test_gain_units_are_the_gaps_in_budgets() -> None:
    model = tiny("llama")
    clean = stream(model, [p[:2] for p in PROMPTS], [(*p[2:], 5) for p in PROMPTS])
    gaps = torch.randn(model.n_layers, model.d_mlp)
    scores = gain_units(model, clean, gaps)
    for layer, index in ((0, 3), (2, 47)):
        assert scores[layer, index] == pytest.approx(
            float(gaps[layer, index]) / coordinate(model, clean, Neuron(layer, index)).budget,
            rel=1e-4,
        )


def test_one_model_or_no_behavior_is_refused(sparse: Model, refusal: Behavior) -> None:
    with pytest.raises(InputError, match="give two or more different ones"):
        compare([sparse, sparse], [refusal])
    with pytest.raises(InputError, match=r"3 models of 2 names; .* each of a name of its own"):
        compare([sparse, load("apothecary-dense"), sparse], [refusal])
    with pytest.raises(InputError, match="no behavior was given"):
        compare([sparse, load("apothecary-dense")], [])
    assert unlike(sparse, load("apothecary-dense")) is None
