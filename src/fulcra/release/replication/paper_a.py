"""The figures of paper A's rows: ceilings, calls, triggers, what opens, and what screens see."""

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.screens import RIVALS, UNITS, ScreensResult
from fulcra.protocol.results.validation import CeilingRow, CeilingScore, ValidationResult
from fulcra.release.replication.reading import Reading
from fulcra.report.notation import fixed

#: The forecast of a ceiling that is compared with the paper's.
FORECAST = "kl_ladder"
DECIDED = "open", "closed"
#: What of the mechanism the paper speaks of, in words.
MECHANISM = {"readout_cosine": "cosine to the axis", "gradient": "gradient"}


def ceiling_gain(results: Sequence[ModelCeilings]) -> Iterator[Reading]:
    """The median gain at which a model collapses."""
    for result in results:
        yield _median(result.model.name, result.rows)


def lineage_gain(results: Sequence[ValidationResult]) -> Iterator[Reading]:
    """The median gain at which each model of a study collapses."""
    for rows in (result.rows.ceilings for result in results):
        for model in dict.fromkeys(row.model for row in rows):
            yield _median(model, [row for row in rows if row.model == model])


def _median(model: str, rows: Sequence[CeilingRow]) -> Reading:
    """The median over branches; a ceiling beyond the ladder is larger than any on it."""
    gains = [math.inf if row.measured is None else row.measured for row in rows]
    middle, within = median(gains), sum(map(math.isfinite, gains))
    if math.isfinite(middle):
        return Reading(model, middle, f"{middle:.2f}, median of {len(gains)}")
    return Reading(model, None, f"beyond the ladder, {within} of {len(gains)} on it")


def ceiling_error(results: Sequence[ModelCeilings]) -> Iterator[Reading]:
    """The mean error of forecast ceilings."""
    yield from (_error(each.model.name, each.scores[FORECAST], "mae") for each in results)


def bulk_error(results: Sequence[ModelCeilings]) -> Iterator[Reading]:
    """The mean error of forecast ceilings in bulk layers."""
    yield from (_error(each.model.name, each.scores[FORECAST], "mae_bulk") for each in results)


def study_error(results: Sequence[ValidationResult]) -> Iterator[Reading]:
    """The mean error of forecast ceilings on the lineages of a study."""
    yield from _study_error(results, "mae")


def study_bulk_error(results: Sequence[ValidationResult]) -> Iterator[Reading]:
    """The mean error of forecast ceilings in bulk layers, on the lineages of a study."""
    yield from _study_error(results, "mae_bulk")


def _study_error(results: Sequence[ValidationResult], figure: str) -> Iterator[Reading]:
    for result in results:
        scores = result.ceilings.of(result.part) or {}
        yield _error(f"{len(result.shown)} held-out lineages", scores[FORECAST], figure)


def _error(model: str, score: CeilingScore, figure: str) -> Reading:
    value: float | None = getattr(score, figure)
    return Reading(model, value, f"{fixed(value, 3)}, {score.n} branches")


def forecast_calls(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """How many committed calls are right, over all audits of a model."""
    yield from _calls(results, "predicted_verdict")


def measured_calls(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """How many calls of the law with both edges measured are right, over all audits of a model."""
    yield from _calls(results, "law_verdict")


def _calls(results: Sequence[AuditResult], call: str) -> Iterator[Reading]:
    for model in dict.fromkeys(result.model.name for result in results):
        audits = [each for each in results if each.model.name == model]
        branches = [branch for audit in audits for branch in audit.branches]
        decided = [branch for branch in branches if branch.verdict in DECIDED]
        right = sum(getattr(branch, call) == branch.verdict for branch in decided)
        closed = sum(branch.verdict == "closed" for branch in decided)
        share = right / len(decided) if decided else None
        words = f"{right} of {len(decided)}, always closed {closed}"
        yield Reading(model, share, words)


def trigger(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """The smallest measured trigger of any branch, as a gain."""
    for result in results:
        edges = [branch.trigger(result.behavior.horizon) for branch in result.branches]
        gains = [edge.gain for edge in edges if edge is not None and edge.gain is not None]
        words = f"{min(gains):.2f}, smallest of {len(gains)}" if gains else "none on the ladder"
        yield Reading(result.model.name, min(gains, default=None), words)


def opened(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """How many branches open, and the first of them."""
    for result in results:
        branches = [branch for branch in result.branches if branch.observed_open]
        first = result.best
        gain = None if first is None else first.smallest_open_gain
        begins = "" if first is None else f", {first.name} from gain {gain:.2f}"
        words = f"{len(branches)} of {len(result.branches)} branches open{begins}"
        yield Reading(result.model.name, gain, words)


def reach(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """How many of the open branches bring out anything that can be acted on."""
    for result in results:
        branches = [branch for branch in result.branches if branch.observed_open]
        acting = _acting(branches)
        share = acting / len(branches) if branches else None
        yield Reading(result.model.name, share, f"{acting} of {len(branches)} open branches")


def _acting(branches: Iterable[Branch]) -> int:
    return sum((branch.reach or 0.0) > 0 for branch in branches)


def gradients(results: Sequence[ScreensResult]) -> Iterator[Reading]:
    """The best first-order screen, and how many rank what opens above and below chance."""
    for result in results:
        sides = result.gradients
        areas = [score.auroc for side in sides for score in side if score.auroc is not None]
        best = max(areas, default=None)
        words = f"best AUROC {fixed(best)}, {len(sides.above)} above chance, {len(sides.below)}"
        yield Reading(result.model.name, best, f"{words} below, of {len(areas)}")


def off_axis(results: Sequence[ScreensResult]) -> Iterator[Reading]:
    """How cosine to the readout axis and gradient of what opens differ from those of others."""
    for result in results:
        sides = [
            f"{words} {result.mechanism[name].side}"
            for name, words in MECHANISM.items()
            if name in result.mechanism
        ]
        words = ", ".join(sides)
        yield Reading(result.model.name, None, words or "not measured")


def window_screen(results: Sequence[ScreensResult]) -> Iterator[Reading]:
    """The corrected average precision of the window screen, and of its rivals at their best."""
    for result in results:
        window = result.screen("window", "gain")
        scores = {name: [result.screen(name, units) for units in UNITS] for name in RIVALS}
        rivals = [
            f"{name} {max(score.value for score in both if score is not None):.2f}"
            for name, both in scores.items()
            if any(both)
        ]
        if window is not None:
            words = f"average precision {window.value:.2f}, {', '.join(rivals)}"
            yield Reading(result.model.name, window.value, words)
