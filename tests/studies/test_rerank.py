"""A rerank puts the neurons first that flip when they are held, and no others in."""

import json

from fulcra import Behavior, Model, Neuron
from fulcra.protocol.measure import Measurement
from fulcra.protocol.subject import prepare
from fulcra.studies.tournament import rerank, reranked
from fulcra.types import Ranking


def test_a_planted_gate_comes_before_neurons_that_flip_nothing(
    sparse: Model, refusal: Behavior
) -> None:
    assert sparse.folder is not None
    gate = Neuron.parse(json.loads((sparse.folder / "planted.json").read_text())["gates"][0])
    before = (Neuron(0, 0), Neuron(5, 5), gate, Neuron(6, 7))
    measure = Measurement(
        sparse, refusal, prepare(sparse, refusal, 0), (refusal.horizon,), None, "salt"
    )
    found = rerank(measure, sparse, refusal, Ranking("gradient", before, (4.0, 3.0, 2.0, 1.0)), 3)
    assert found.branches[0] == gate
    assert set(found.branches) == set(before[:3])
    assert found.scores[0] >= 0.5
    assert found.screen == "gradient, reranked"
    whole = reranked(measure, sparse, refusal, Ranking("gradient", before, (4.0, 3.0, 2.0, 1.0)), 3)
    assert whole.branches == (*found.branches, before[3])
    assert len(whole.scores) == len(before)
