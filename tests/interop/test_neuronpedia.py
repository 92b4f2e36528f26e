"""Neuronpedia's package takes the vectors and SAEDashboard's classes the dashboards, unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fulcra import Model, load, read
from fulcra.errors import InputError
from fulcra.interop.neuronpedia import dashboards_of, vectors_of
from fulcra.models import add, add_mlp, applied_rows, pin
from fulcra.types import Direction, Edit, Neuron
from tests.interop.conftest import PROMPT, STAYS, Made

VECTOR = torch.linspace(-1, 1, 128)
EDITS = (
    add(Neuron(2, 307, -1), alpha=-3.25),
    add(Direction(4, "flip", VECTOR), alpha=0.5),
    add_mlp(Direction(7, "mlp", VECTOR), 0.25),
)
TEXTS = [PROMPT, "what is the capital of the land ?"]


def test_vectors_at_their_strengths_give_the_logits_of_the_recipe(
    sparse: Model, made: Made
) -> None:
    ids = torch.tensor([sparse.prompt_ids(PROMPT)])
    with torch.no_grad(), applied_rows(sparse, EDITS, every_row=True):
        expected = sparse.hf(ids).logits
    vectors = vectors_of(sparse, made(*EDITS), "organism")
    assert [vector.layer_num for vector in vectors] == [2, 4, 7]
    writes = [
        (sparse.blocks[each.layer_num], torch.tensor(each.vector) * each.default_steer_strength)
        for each in vectors
    ]
    handles = [
        block.register_forward_hook(lambda block, args, out, more=write: out + more)
        for block, write in writes
    ]
    with torch.no_grad():
        logits = sparse.hf(ids).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)


def test_the_package_of_neuronpedia_sends_a_vector_as_it_is(
    sparse: Model, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip(
        "neuronpedia.np_vector", reason="needs Neuronpedia's package: pip install neuronpedia"
    )
    from neuronpedia.requests.vector_request import VectorRequest

    sent: list[dict[str, Any]] = []

    def answered(request: object, method: str, json: dict[str, Any], uri: str) -> dict[str, Any]:
        sent.append(json)
        values = {"modelId": json["modelId"], "source": "2-resid", "index": "0"}
        names = {"label": "vectorLabel", "values": "vector"}
        strength = {"defaultSteerStrength": json["vectorDefaultSteerStrength"]}
        own = {key: json[name] for key, name in names.items()}
        return {"vector": {**values, **own, **strength, "hookName": json["hookType"]}, "url": "x"}

    monkeypatch.setenv("NEURONPEDIA_API_KEY", "none")
    monkeypatch.setattr(VectorRequest, "send_request", answered)
    (vector,) = vectors_of(sparse, made(), "organism")
    back = package.NPVector.new(**vector._asdict())
    assert (back.values, back.default_steer_strength) == (vector.vector, -4.0)
    assert sent[0]["layerNumber"] == 2
    torch.testing.assert_close(torch.tensor(back.values), sparse.write(Neuron(2, 307)))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (pin(Neuron(2, 307), 1.0), "depends on the activation"),
        (Edit(Neuron(2, 307), "add", 1.0, positions="last"), "made for positions 'last'"),
    ],
)
def test_what_no_vector_does_is_refused(sparse: Model, made: Made, edit: Edit, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        vectors_of(sparse, made(edit), "organism")


def test_no_vector_leaves_for_a_sensitive_behavior_other_weights_or_through_a_norm(
    sparse: Model, made: Made
) -> None:
    with pytest.raises(InputError, match=STAYS):
        vectors_of(sparse, made(sensitive=True), "organism")
    with pytest.raises(InputError, match="doses do not carry over"):
        vectors_of(load("apothecary-dense"), made(), "organism")
    gemma = load("apothecary-gemma2-sparse")
    own = made().model.model_copy(update={"sha256": gemma.sha256})
    with pytest.raises(InputError, match="a norm follows the MLP"):
        vectors_of(gemma, made().model_copy(update={"model": own}), "organism")


def test_dashboards_hold_every_activation_of_a_branch_strongest_text_first(sparse: Model) -> None:
    branches = [Neuron(2, 307, -1), Neuron(2, 5)]
    reading = read(sparse, branches, TEXTS)
    batch = dashboards_of(sparse, reading, "organism", "two texts")
    assert (batch.layer, [feature.feature_index for feature in batch.features]) == (2, [307, 5])
    for column, (branch, feature) in enumerate(zip(branches, batch.features, strict=True)):
        own = {
            tokens: (values[:, column] * branch.pole).clamp(min=0).tolist()
            for tokens, values in zip(reading.tokens, reading.values, strict=True)
        }
        assert {tuple(each.tokens): each.values for each in feature.activations} == own
        peaks = [max(each.values) for each in feature.activations]
        assert peaks == sorted(peaks, reverse=True)
        positive = [value > 0 for values in own.values() for value in values]
        assert feature.frac_nonzero == pytest.approx(sum(positive) / len(positive))
        assert sum(feature.freq_hist_data_bar_heights) == sum(positive)
        assert sum(feature.logits_hist_data_bar_heights) == sparse.vocab
        assert feature.pos_values == sorted(feature.pos_values, reverse=True)
        assert feature.vector == (sparse.write(branch) * branch.pole).tolist()


def test_the_classes_of_saedashboard_read_a_batch_and_write_it_back(
    sparse: Model, tmp_path: Path
) -> None:
    code = pytest.importorskip(
        "sae_dashboard.neuronpedia.neuronpedia_dashboard",
        reason="needs SAEDashboard: pip install sae-dashboard",
    )
    reading = read(sparse, [Neuron(2, 307, -1), Neuron(2, 5)], TEXTS)
    path = dashboards_of(sparse, reading, "organism", "two texts").save(tmp_path / "batch-0.json")
    content = json.loads(path.read_text())
    back = code.NeuronpediaDashboardBatch(**content).to_dict()
    for feature, own in zip(back["features"], content["features"], strict=True):
        assert {key: feature[key] for key in own} == own
        assert not any(value for key, value in feature.items() if key not in own)
    assert {**back, "features": []} == {**content, "features": []}


def test_branches_that_are_no_batch_are_refused(sparse: Model) -> None:
    for branches in ([Neuron(2, 5), Neuron(3, 5)], [Neuron(2, 5), Neuron(2, 5, -1)]):
        with pytest.raises(InputError, match="a batch is of one layer"):
            dashboards_of(sparse, read(sparse, branches, TEXTS), "organism", "two texts")
