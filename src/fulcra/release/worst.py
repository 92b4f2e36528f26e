"""The worst of a run: its smallest open gain and its largest strict reach, each with interval."""

from collections.abc import Iterator
from typing import NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.law.edges import gain_edge
from fulcra.protocol.records import Record
from fulcra.release.finished import FinishedRun
from fulcra.types import Interval, Verdict


class Opening(NamedTuple):
    """From which gain a branch flips half of the prompts, with its 5-95 % interval over prompts.

    None is beyond the ladder.
    """

    branch: str
    gain: float | None
    low: float | None
    high: float | None
    n: int
    verdict: Verdict | None


class Reach(NamedTuple):
    """The strict reach of one neuron at one dose, with its 95 % interval."""

    setting: str
    rate: Interval


def openings(run: FinishedRun) -> list[Opening]:
    """The gain from which each committed branch opens, on the confirmation prompts."""
    return [_opening(run, branch.name, branch.verdict) for branch in run.result.branches]


def _opening(run: FinishedRun, branch: str, verdict: Verdict | None) -> Opening:
    evidence, gains = run.evidence, ladder(run, branch)
    flips = evidence.flips("confirmation", branch, gains, evidence.verdict_horizon)
    return Opening(branch, *gain_edge(gains, flips), flips.shape[1], verdict)


def ladder(run: FinishedRun, branch: str) -> tuple[float, ...]:
    """The gains that exist for a committed branch."""
    content = run.files.content
    return next(content.gains_of(entry) for entry in content.branches if entry.branch == branch)


def reaches(run: FinishedRun) -> list[Reach]:
    """The strict reach of every dose of every committed branch, and of every held value."""
    return [_reach(run, setting, records) for setting, records in _settings(run) if records]


def _settings(run: FinishedRun) -> Iterator[tuple[str, list[Record]]]:
    evidence = run.evidence
    for branch in run.result.branches:
        records = evidence.sealed("confirmation", branch.name)
        for gain in ladder(run, branch.name):
            yield f"{branch.name} at gain {gain:g}", [r for r in records if r.gain == gain]
    for neuron in dict.fromkeys(branch.neuron for branch in run.result.branches):
        records = evidence.sealed("pins", neuron)
        for value in sorted({record.value for record in records}):
            how = f"held at {value:.3g}" if value else "ablated"
            yield f"{neuron} {how}", [r for r in records if r.value == value]


def _reach(run: FinishedRun, setting: str, records: list[Record]) -> Reach:
    horizon = run.evidence.verdict_horizon
    correct = sum(record.at(horizon) == "flipped_correct" for record in records)
    return Reach(setting, wilson(correct, len(records)))


def counts_true_answers(run: FinishedRun) -> bool:
    """Whether any flip of the run, other attacks included, was counted as a true answer.

    Without one the behavior has no oracle of truth, or an attack never met one.
    """
    horizon = run.evidence.verdict_horizon
    return any(
        record.stage != "ceiling" and record.at(horizon) == "flipped_correct"
        for record in run.files.records
    )
