"""Chances of a subject's branches: from whole curves, joined as the law joins them."""

import numpy as np
import pytest

from fulcra import Behavior, Model
from fulcra.ladders.flip_ladder import EXCESS
from fulcra.ladders.kl_ladder import LEVEL
from fulcra.law.chance import FROZEN, Curves, chances
from fulcra.protocol.chances import (
    ChanceTexts,
    branch_chances,
    combined_cost,
    look_of,
    measured_curves,
    undosed_share,
)
from fulcra.protocol.subject import Subject
from fulcra.types import Neuron

GAINS = (0.3, 0.65)
NAMES = ("L1.N245+", "L6.N0-")


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    return Subject.of(sparse, refusal)


def test_the_chances_are_those_of_the_curves(subject: Subject) -> None:
    branches = [subject.coordinate(Neuron.parse(name)) for name in NAMES]
    texts, look = ChanceTexts.of(subject, 1), look_of(16, "full")
    ends = branch_chances(subject, branches, GAINS, look, texts)
    curves = measured_curves(subject, branches, texts, GAINS)
    replies = curves.replies.double().numpy() - undosed_share(subject, texts)
    cost = np.maximum(replies, 0) / EXCESS + curves.divergence.double().numpy() / LEVEL
    again = chances(Curves(curves.odds.double().numpy(), cost[..., None]), FROZEN, look)
    assert [end.open for end in ends] == pytest.approx(again.open.tolist())
    assert [sum(end) for end in ends] == pytest.approx([1.0, 1.0])
    # on the census the first opens from gain .65 and the second never
    assert ends[0].open > 10 * ends[1].open


def test_a_cost_below_the_undosed_share_is_none() -> None:
    cost = combined_cost(np.array([0.1, 0.4]), 0.1 + EXCESS, np.array([0.0, LEVEL]))
    assert cost == pytest.approx([0.0, (0.3 - EXCESS) / EXCESS + 1])


def test_a_sequential_rung_is_given_up_after_its_first_look() -> None:
    assert look_of(16, "full") == (16, 16)
    assert look_of(16, "curtailed") == (16, 16)
    assert look_of(16, "sequential") == (16, 7)
