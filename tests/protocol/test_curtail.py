"""Curtailed ladders: the verdicts of all rollouts from fewer of them, and a declared error."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fulcra.law.edges import gain_edge
from fulcra.law.verdict import observe
from fulcra.protocol.curtail import (
    ERROR,
    Key,
    Measure,
    Question,
    curtailed,
    drawn_order,
    edge_question,
    half_question,
    verdict_question,
)

GAINS = (0.1, 0.2, 0.4, 0.8, 1.6)
PROMPTS = tuple(f"p{i}" for i in range(16))
Ladder = NDArray[np.float64]
Questions = Callable[[int, Measure], Question]

ladders = st.lists(
    st.lists(st.booleans(), min_size=16, max_size=16), min_size=len(GAINS), max_size=len(GAINS)
).map(lambda rows: np.array(rows, dtype=float))


def rolled(whole: Ladder, question: Question) -> tuple[Ladder, list[Key]]:
    """What a curtailed measurement sees of a ladder [gain, prompt], and what it asked for."""
    answers = {
        Key("L1.N2+", gain, prompt): bool(whole[i, j])
        for i, gain in enumerate(GAINS)
        for j, prompt in enumerate(PROMPTS)
    }
    keys = curtailed({"L1.N2+": GAINS}, PROMPTS, question, lambda wave: [answers[k] for k in wave])
    part = np.full(whole.shape, np.nan)
    for key in keys:
        part[GAINS.index(key.dose), PROMPTS.index(key.prompt)] = answers[key]
    return part, keys


@given(ladders)
@settings(max_examples=200, deadline=None)
def test_a_curtailed_ladder_gives_the_edge_of_all_rollouts(whole: Ladder) -> None:
    part, _ = rolled(whole, edge_question(16, "curtailed"))
    assert gain_edge(GAINS, part).gain == gain_edge(GAINS, whole).gain


@given(ladders)
@settings(max_examples=200, deadline=None)
def test_a_curtailed_ladder_gives_the_verdict_of_all_rollouts(whole: Ladder) -> None:
    part, _ = rolled(whole, verdict_question(16, "curtailed"))
    assert observe(GAINS, part) == observe(GAINS, whole)


@given(ladders)
@settings(max_examples=100, deadline=None)
def test_a_curtailed_rung_reaches_half_exactly_when_all_rollouts_do(whole: Ladder) -> None:
    part, _ = rolled(whole, half_question(16, "curtailed"))
    assert ((np.nansum(part, 1) >= 8) == (whole.sum(1) >= 8)).all()


@given(ladders, st.sampled_from([edge_question, half_question, verdict_question]))
@settings(max_examples=100, deadline=None)
def test_nothing_is_asked_for_twice(whole: Ladder, questions: Questions) -> None:
    for measure in ("curtailed", "sequential"):
        _, keys = rolled(whole, questions(16, measure))
        assert len(keys) == len(set(keys)) <= whole.size


def test_a_quiet_rung_is_over_after_the_fewest_rollouts_that_settle_it() -> None:
    assert edge_question(16, "curtailed").look == 9  # seven more cannot make eight
    assert verdict_question(16, "curtailed").look == 12  # four of sixteen still lie below one half
    assert edge_question(16, "sequential").look == 7  # 1 in 128
    assert edge_question(4, "sequential").look == 3  # too few to be sequential about


@pytest.mark.parametrize("questions", [edge_question, half_question, verdict_question])
def test_a_true_half_is_given_up_less_often_than_declared(questions: Questions) -> None:
    """Monte Carlo over rungs that happen on half of the prompts, counted where they stop early."""
    question, rng = questions(16, "sequential"), np.random.default_rng(0)
    rungs = rng.random((20_000, question.look)) < 0.5
    given_up = [question.settled(int(hits), question.look) for hits in rungs.sum(1)]
    assert np.mean(given_up) < ERROR


def test_a_climb_ends_above_its_edge() -> None:
    whole = np.zeros((len(GAINS), 16))
    whole[2:] = 1
    part, _ = rolled(whole, edge_question(16, "curtailed"))
    assert np.isnan(part[3:]).all()
    assert not np.isnan(part[1:3]).any()  # the edge lies between two whole rungs
    assert np.isnan(part[0]).sum() == 7


def test_without_prompts_nothing_is_asked_for() -> None:
    def never(wave: Sequence[Key]) -> list[bool]:
        raise AssertionError(wave)

    assert curtailed({"L1.N2+": GAINS}, [], edge_question(1, "full"), never) == []


@pytest.mark.parametrize("measure", ["curtailed", "sequential"])
@pytest.mark.parametrize("question", [edge_question, half_question, verdict_question])
@pytest.mark.parametrize("prompts", [0, 1, 2, 3])
def test_so_few_prompts_that_nothing_settles_a_rung_are_all_rolled_out(
    prompts: int, question: Questions, measure: Measure
) -> None:
    few = question(prompts, measure)
    assert few.look <= prompts
    order, asked = PROMPTS[:prompts], list[Key]()

    def never(wave: Sequence[Key]) -> list[bool]:
        asked.extend(wave)
        return [False] * len(wave)

    curtailed({"L1.N2+": GAINS}, order, few, never)
    assert {key.prompt for key in asked} == set(order[: few.look])
    if few.needed == 0:
        assert len(asked) == prompts * len(GAINS)


def test_prompts_are_drawn_by_seed_and_stage() -> None:
    first = drawn_order(PROMPTS, "selection", 0)
    assert sorted(first) == sorted(PROMPTS)
    assert first == drawn_order(PROMPTS, "selection", 0)
    assert first != drawn_order(PROMPTS, "selection", 1)
    assert first != drawn_order(PROMPTS, "confirmation", 0)
