"""True answers are coherent, by a standard that is set on the model's own clean replies."""

import pytest

from fulcra import load, load_behavior
from fulcra.protocol.subject import Subject


@pytest.mark.parametrize("model", ["apothecary-helpful", "apothecary-sparse", "apothecary-dense"])
@pytest.mark.parametrize("behavior", ["refusal", "language-fr", "agreement", "concept"])
def test_a_true_answer_is_judged_coherent_95_percent_of_the_time(model: str, behavior: str) -> None:
    share = Subject.of(load(model), load_behavior(behavior)).true_answers_coherent()
    assert share is not None
    assert share >= 0.95
