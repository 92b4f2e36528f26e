"""The structure of src/fulcra keeps its rules: no number rises above the ceiling of its rule."""

from pathlib import Path

import pytest

from tools.shape.measures import Shape, measure
from tools.shape.rules import LIMITS, Limit

PACKAGE = Path(__file__).parents[2] / "src" / "fulcra"


@pytest.fixture(scope="module")
def shape() -> Shape:
    return measure(PACKAGE)


@pytest.mark.parametrize("rule", LIMITS)
def test_no_rule_is_broken_more_often_than_its_ceiling_allows(shape: Shape, rule: str) -> None:
    places = "\n".join(shape.places.get(rule, ()))
    assert shape.counts[rule] <= LIMITS[rule].ceiling, f"{rule}:\n{places}"


def test_every_count_has_a_limit(shape: Shape) -> None:
    assert shape.counts.keys() == LIMITS.keys()


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_ceiling_is_never_below_its_goal(limit: Limit) -> None:
    assert limit.ceiling >= limit.goal
