"""Finished runs side by side, oldest first: how figures changed, what opened and what closed."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from fulcra.errors import InputError
from fulcra.formulas.classification import mcnemar
from fulcra.formulas.correction import holm
from fulcra.formulas.intervals import newcombe, wilson
from fulcra.protocol.records import Record
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.changes import (
    BranchChange,
    ChangesResult,
    FigureChange,
    FigureEntry,
    PairEntry,
    Turn,
)
from fulcra.release.figures import Figure, figures
from fulcra.release.finished import FinishedRun, finished_run, require_verdict
from fulcra.release.gate import entry_of
from fulcra.release.regression import differences, opening_ratio
from fulcra.release.worst import ladder
from fulcra.types import Interval

SCHEMA_VERSION = 1


def finished_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """The runs of the folders, each with a verdict; InputError where two have one name."""
    places = [folder.resolve() for folder in folders]
    if twice := [f for f, place in zip(folders, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"report: {twice[0]} is named twice; name each run once")
    runs = [finished_run(folder) for folder in folders]
    for run in runs:
        require_verdict(run)
    names = [run.name for run in runs]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InputError(f"report: two runs are named {doubled[0]}; rename the folder of one")
    return runs


def side_by_side(runs: Sequence[FinishedRun]) -> ChangesResult:
    """The figures of every run, and what changed from each to the next. No model is loaded."""
    every = [figures(run) for run in runs]
    pairs = list(zip(pairwise(runs), pairwise(every), strict=True))
    changes = [change for pair, listed in pairs for change in _figure_changes(pair, listed)]
    shared = [_branch_changes(before, after) for (before, after), _ in pairs]
    result = ChangesResult(
        schema_version=SCHEMA_VERSION,
        runs=tuple(entry_of(run) for run in runs),
        figures=tuple(
            _entry(run, figure) for run, own in zip(runs, every, strict=True) for figure in own
        ),
        pairs=tuple(_pair(before, after) for (before, after), _ in pairs),
        changes=tuple(_corrected(changes)),
        branches=tuple(row for rows in shared for row in rows),
        provenance=Provenance.now(),
    )
    return ChangesResult.of(result.plain())


def _entry(run: FinishedRun, figure: Figure) -> FigureEntry:
    return FigureEntry(
        run=run.name,
        figure=figure.name,
        words=figure.words,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n=figure.n,
        level=figure.level,
        method=figure.method,
        unit=figure.unit,
    )


def _figure_changes(
    runs: tuple[FinishedRun, FinishedRun], listed: tuple[list[Figure], list[Figure]]
) -> Iterator[FigureChange]:
    """How each figure that both runs have changed from the first to the second."""
    later = {figure.name: figure for figure in listed[1]}
    names = {"before": runs[0].name, "after": runs[1].name}
    for figure in listed[0]:
        other = later.get(figure.name)
        if other is None:
            continue
        if figure.unit == "gain":
            yield _ratio(runs, names, figure.name)
        elif figure.value is not None and other.value is not None:
            yield _difference(names, figure, other)


def _difference(names: dict[str, str], before: Figure, after: Figure) -> FigureChange:
    """The difference of two rates with Newcombe's interval and the p of Fisher's exact test.

    Of the largest of many neither is valid: the difference alone.
    """
    from scipy.stats import fisher_exact

    hits = [round((figure.value or 0.0) * figure.n) for figure in (before, after)]
    sizes = [before.n, after.n]
    rise = newcombe(wilson(hits[0], sizes[0]), wilson(hits[1], sizes[1]))
    tested = not (before.selected or after.selected)
    table = [[hit, size - hit] for hit, size in zip(hits, sizes, strict=True)]
    return FigureChange(
        **names,
        figure=before.name,
        kind="difference",
        change=rise.value,
        low=rise.low if tested else None,
        high=rise.high if tested else None,
        n=rise.n,
        p=float(fisher_exact(table).pvalue) if tested else None,
        corrected=None,
    )


def _ratio(
    runs: tuple[FinishedRun, FinishedRun], names: dict[str, str], figure: str
) -> FigureChange:
    """The ratio of two smallest open gains; without an interval where prompts do not pair."""
    ratio = Interval(math.nan, math.nan, math.nan, 0)
    if not differences(*runs):
        ratio, _, _ = opening_ratio(runs[1], runs[0])
    value, low, high = (
        number if math.isfinite(number) else None for number in (ratio.value, ratio.low, ratio.high)
    )
    return FigureChange(
        **names,
        figure=figure,
        kind="ratio",
        change=value,
        low=low,
        high=high,
        n=ratio.n,
        p=None,
        corrected=None,
    )


def _corrected(changes: Sequence[FigureChange]) -> list[FigureChange]:
    """The changes with their p corrected for all that were looked at."""
    tested = holm([change.p for change in changes if change.p is not None])
    values = iter(tested)
    return [
        change if change.p is None else change.model_copy(update={"corrected": next(values)})
        for change in changes
    ]


def _shape(run: FinishedRun) -> tuple[str, int, int, int]:
    model = run.result.model
    return model.family, model.layers, model.d_model, model.d_mlp


def _names(run: FinishedRun) -> set[str]:
    return {branch.name for branch in run.result.branches}


def _pair(before: FinishedRun, after: FinishedRun) -> PairEntry:
    alike = _shape(before) == _shape(after)
    names = _names(before), _names(after)
    shared = len(names[0] & names[1]) if alike else 0
    notes = [] if alike else ["models of different shape share no neuron"]
    if differ := differences(before, after):
        notes.append(f"they differ in {', '.join(differ)}, so rates are compared unpaired")
    return PairEntry(
        before=before.name,
        after=after.name,
        shared=shared,
        only_before=len(names[0]) - shared,
        only_after=len(names[1]) - shared,
        note="; ".join(notes),
    )


def _branch_changes(before: FinishedRun, after: FinishedRun) -> list[BranchChange]:
    """Every branch that both runs measured, p corrected over them; none of different shapes."""
    if _shape(before) != _shape(after):
        return []
    names = [b.name for b in before.result.branches if b.name in _names(after)]
    rows = [row for name in names if (row := _branch_change(name, before, after)) is not None]
    corrected = holm([row.p for row in rows])
    return [row.model_copy(update={"corrected": p}) for row, p in zip(rows, corrected, strict=True)]


def _branch_change(name: str, before: FinishedRun, after: FinishedRun) -> BranchChange | None:
    """One branch in both runs; None where no gain was rolled out in both."""
    rungs = sorted(set(ladder(before, name)) & set(ladder(after, name)))
    cases = [(gain, _flips(before, name, gain), _flips(after, name, gain)) for gain in rungs]
    cases = [case for case in cases if case[1] and case[2]]
    if not cases:
        return None
    gain, first, second = max(cases, key=lambda case: _rate(case[1]) + _rate(case[2]))
    old, new = (
        next(branch for branch in run.result.branches if branch.name == name)
        for run in (before, after)
    )
    paired = first.keys() == second.keys() and not differences(before, after)
    p = _paired_p(first, second) if paired else _unpaired_p(first, second)
    return BranchChange(
        before=before.name,
        after=after.name,
        branch=name,
        turn=_turn(bool(old.observed_open), bool(new.observed_open)),
        verdict_before=old.verdict,
        verdict_after=new.verdict,
        gain=gain,
        rate_before=_rate(first),
        rate_after=_rate(second),
        n_before=len(first),
        n_after=len(second),
        test="mcnemar" if paired else "fisher",
        p=p,
        corrected=p,
    )


def _turn(before: bool, after: bool) -> Turn:
    if before == after:
        return "as before"
    return "opened" if after else "closed"


def _flips(run: FinishedRun, name: str, gain: float) -> dict[str, bool]:
    """Whether each confirmation prompt flips at a gain."""
    horizon = run.evidence.verdict_horizon
    records: list[Record] = run.evidence.sealed("confirmation", name)
    return {r.prompt: r.flipped(horizon) for r in records if r.gain == gain}


def _rate(flips: dict[str, bool]) -> float:
    return float(np.mean(list(flips.values())))


def _paired_p(before: dict[str, bool], after: dict[str, bool]) -> float:
    prompts = list(before)
    return mcnemar([before[p] for p in prompts], [after[p] for p in prompts])


def _unpaired_p(before: dict[str, bool], after: dict[str, bool]) -> float:
    from scipy.stats import fisher_exact

    counts = [(sum(flips.values()), len(flips)) for flips in (before, after)]
    return float(fisher_exact([[hits, n - hits] for hits, n in counts]).pvalue)
