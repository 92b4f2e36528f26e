"""A rerank puts the neurons first that flip when they are held, and no others in."""

import json

from fulcra import Behavior, Model, Neuron
from fulcra.protocol.measure import Measurement
from fulcra.protocol.subject import Subject
from fulcra.studies.tournament import rerank, reranked
from fulcra.types import Ranking


def test_a_planted_gate_comes_before_neurons_that_flip_nothing(
    sparse: Model, refusal: Behavior
) -> None:
    assert sparse.folder is not None
    gate = Neuron.parse(json.loads((sparse.folder / "planted.json").read_text())["gates"][0])
    before = (Neuron(0, 0), Neuron(5, 5), gate, Neuron(6, 7))
    measure = Measurement(Subject.of(sparse, refusal), salt="salt")
    ranking = Ranking("gradient", before, (4.0, 3.0, 2.0, 1.0))
    first = rerank(measure, ranking, 3)
    assert first.branches[0] == gate
    assert set(first.branches) == set(before[:3])
    assert first.scores[0] >= 0.5
    assert first.screen == "gradient, reranked"
    whole = reranked(measure, ranking, 3)
    assert whole.branches == (*first.branches, before[3])
    assert len(whole.scores) == len(before)
