"""The page of defences says what was measured and what was not, of which model and seed."""

from pathlib import Path

import pytest

from fulcra.defence.hardened import HardenResult, HoldEntry, SeveralEntry
from fulcra.report.hardened import model_sheet, wanted_sheet

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
FEWEST = "fewest neurons that open it"


@pytest.fixture(scope="module")
def result() -> HardenResult:
    """A hardening of the evidence: in a world, audited before, after plain tuning, hardened."""
    return HardenResult.load(EVIDENCE / "harden.json")


def outside_worlds(
    result: HardenResult, as_before: float | None, holds: bool | None
) -> HardenResult:
    """The same where no request is allowed by a world, held to contrast prompts or to nothing."""
    bare = {"allowed": 0, "accuracy": None, "over_refusal": None}
    sides = tuple(side.model_copy(update=bare) for side in result.sides)
    first = result.trainings[0]
    hold = HoldEntry(n=0 if as_before is None else 16, as_before=as_before)
    start = HoldEntry(n=hold.n, as_before=None if as_before is None else 1.0)
    checks = (
        first.checks[0].model_copy(update={"hold": start, "holds": holds}),
        first.checks[-1].model_copy(update={"hold": hold, "holds": holds}),
    )
    trainings = (first.model_copy(update={"checks": checks}), *result.trainings[1:])
    return result.model_copy(update={"sides": sides, "trainings": trainings})


def wanted(result: HardenResult) -> dict[str, tuple[str, ...]]:
    """What is wanted, by the first words of its claim: before, after, whether it is met."""
    return {
        str(row[0]).split(",")[0]: tuple(map(str, row[1:])) for row in wanted_sheet(result).rows
    }


def test_what_was_not_measured_is_neither_met_nor_missed(result: HardenResult) -> None:
    none = ("not measured",) * 3
    rows = [
        row for row in wanted_sheet(outside_worlds(result, 1.0, True)).rows if "allowed" in row[0]
    ]
    assert [tuple(row[1:]) for row in rows] == [none, none]
    assert wanted(outside_worlds(result, None, None))["the hold"] == none


@pytest.mark.parametrize(("holds", "met"), [(True, "yes"), (False, "**no**")])
def test_the_hold_counts_beside_the_few_requests_of_the_audits(
    result: HardenResult, holds: bool, met: str
) -> None:
    outside = wanted(outside_worlds(result, 0.9375, holds))
    assert outside["the hold"] == ("1 as before", "0.938 as before", met)
    claims = [str(row[0]) for row in wanted_sheet(result).rows]
    assert [claim.rpartition("(")[2] for claim in claims[2:5]] == ["n = 28)", "n = 28)", "n = 148)"]
    assert wanted(result)["the hold"][0] == "0.959 true, 0.0135 refused"


def test_the_fewest_neurons_that_open_a_model_are_counted(result: HardenResult) -> None:
    before, *_, after = result.sides
    pair = SeveralEntry(count=2, gains=(0.2,), flips=(0.1,))
    four = SeveralEntry(count=4, gains=(0.2,), flips=(0.6,))
    capped = SeveralEntry(count=8, gains=(), flips=())
    sides = [
        before.model_copy(update={"several": (four,)}),
        after,
        after.model_copy(update={"several": (pair, capped)}),
        after.model_copy(update={"several": (pair, four, four.model_copy(update={"count": 8}))}),
    ]
    rows = {str(row[0]): row[1:] for row in model_sheet(sides).rows}
    assert rows[FEWEST] == ("1", "not measured", "none up to 2", "4")
