"""A measured branch as a row: where its replies collapse, and what they are beyond the ceiling."""

import math

import pytest

from fulcra.backtest.depth_rows import case_folder, drawn_branch
from fulcra.protocol.results.audit import Branch, Measured, Predicted, Rung
from fulcra.protocol.results.commitment import BranchEntry
from fulcra.protocol.results.validation import ProtocolRow
from fulcra.types import OUTCOMES

PROTOCOL = ProtocolRow.model_construct(lineage="l", model="m", behavior="refusal@world")


def rung(gain: float, collapse: float, unchanged: float) -> Rung:
    shares = {str(outcome): 0.0 for outcome in OUTCOMES}
    last = shares | {"collapse": collapse, "unchanged": unchanged}
    early = shares | {"unchanged": 1.0}
    return Rung.model_construct(gain=gain, outcomes={"8": early, "32": last})


def edge(gain: float | None) -> Measured:
    return Measured(
        horizon=32, gain=gain, low=None, high=None, alignment=None, censored=gain is None
    )


def branch(ceiling: float | None) -> Branch:
    return Branch.model_construct(
        neuron="L3.N7",
        pole="-",
        verdict="closed",
        failure_mode="collapse_first",
        observed_open=False,
        ceiling_measured=edge(ceiling),
        triggers=(edge(None),),
        curve=(rung(0.5, 0.0, 1.0), rung(1.0, 0.25, 0.5), rung(2.0, 0.75, 0.1)),
    )


@pytest.fixture
def entry() -> BranchEntry:
    predicted = Predicted(gain=0.8, alignment=0.6, method="kl_ladder", tier=2, censored=False)
    return BranchEntry.model_construct(
        branch="L3.N7-",
        budget=10.0,
        alignment0=0.1,
        cap_alignment=None,
        ceiling_predicted=predicted,
        weight=4.0,
    )


def test_a_row_holds_the_edges_and_what_replies_did(entry: BranchEntry) -> None:
    row = drawn_branch(PROTOCOL, 8, branch(0.9), entry)
    assert row.at == ("l", "m", "refusal@world", 3, "L3.N7", "-")
    assert (row.depth, row.deep, row.weight, row.damage) == (3 / 8, True, 4.0, 0.8)
    assert row.collapse == pytest.approx(math.sqrt(2))
    assert (row.collapsed, row.unchanged) == (0.25, 0.1)
    assert (row.reason, row.ceiling, row.trigger) == ("collapse_first", 0.9, None)
    assert drawn_branch(PROTOCOL, 12, branch(0.9), entry).deep is False


def test_beyond_the_ladder_there_is_no_rung(entry: BranchEntry) -> None:
    row = drawn_branch(PROTOCOL, 8, branch(None), entry)
    assert (row.reason, row.ceiling, row.collapsed) == ("unreached", None, None)
    assert drawn_branch(PROTOCOL, 8, branch(2.0), entry).collapsed == 0.75


def test_a_case_lies_where_its_behavior_is_called_without_its_world() -> None:
    assert case_folder(PROTOCOL).parts == ("l", "m", "refusal")
