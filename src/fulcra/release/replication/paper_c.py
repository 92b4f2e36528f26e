"""The figures of paper C's rows: one neuron held, anchored or read, and the direction beside it."""

from collections.abc import Callable, Iterator, Sequence

from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.card import CardResult
from fulcra.protocol.results.detector import DetectorResult
from fulcra.protocol.results.interventions import InterventionRow, InterventionsResult
from fulcra.release.replication.reading import Reading, percent, points
from fulcra.report.notation import fixed

#: Interventions of the paper, as the study of interventions names them.
KINDS = {"constant": "pin", "anchored": "anchor", "direction": "ablate_direction"}
#: The detector that reads words alone; those behind it are guards.
WORDS = "bag of words"


def success(kind: str) -> Callable[[Sequence[InterventionsResult]], Iterator[Reading]]:
    """The reader of how many prompts one intervention flips."""

    def read(results: Sequence[InterventionsResult]) -> Iterator[Reading]:
        for _, row in _rows(results, KINDS[kind]):
            rate = row.behavior_rate
            words = "nothing scored" if rate is None else f"{percent(rate)} of {row.n}"
            yield Reading(row.model, rate, f"{words}, {row.behavior}")

    return read


def accuracy(results: Sequence[InterventionsResult]) -> Iterator[Reading]:
    """What each intervention changes of the accuracy on allowed requests, in points."""
    changes: dict[str, dict[str, float]] = {}
    for name, kind in KINDS.items():
        for clean, row in _rows(results, kind):
            if clean.accuracy is not None and row.accuracy is not None:
                changes.setdefault(row.model, {})[name] = row.accuracy - clean.accuracy
    for model, differences in changes.items():
        words = ", ".join(f"{name} {points(change)}" for name, change in differences.items())
        yield Reading(model, min(differences.values()), f"allowed requests {words}")


def _rows(
    results: Sequence[InterventionsResult], kind: str
) -> Iterator[tuple[InterventionRow, InterventionRow]]:
    """Every row of a kind behind the row of its model without any intervention."""
    for result in results:
        clean = {row.model: row for row in result.rows if row.intervention == "none"}
        yield from ((clean[row.model], row) for row in result.rows if row.intervention == kind)


def held(results: Sequence[AuditResult]) -> Iterator[Reading]:
    """The neuron that flips most when held: at how many times its natural extent."""
    for result in results:
        best = None if result.summary.held is None else result.summary.held.best
        if best is not None:
            extent = f"{abs(best.multiple):g} times its natural extent"
            words = f"{best.neuron} {'ablated' if best.op == 'ablate' else extent}"
            words = f"{words} flips {percent(best.flip_rate)}, {result.behavior.name}"
            yield Reading(result.model.name, abs(best.multiple), words)


def detectors(results: Sequence[DetectorResult]) -> Iterator[Reading]:
    """The neuron's AUROC, and that of a bag of words."""
    for result in results:
        areas = {each.detector: each.auroc.value for each in result.detectors}
        own = result.detectors[0].auroc.value
        words = f"AUROC {fixed(own)}, words alone {fixed(areas[WORDS])}"
        yield Reading(result.model.name, own, words)


def guards(results: Sequence[DetectorResult]) -> Iterator[Reading]:
    """The AUROC of every guard model."""
    for result in results:
        names = [each.detector for each in result.detectors]
        for each in result.detectors[names.index(WORDS) + 1 :]:
            words = f"{each.detector} {fixed(each.auroc.value, 3)}"
            yield Reading(result.model.name, each.auroc.value, words)


def cosine(results: Sequence[CardResult]) -> Iterator[Reading]:
    """The cosine of a neuron's write with the direction of its behavior, and its chance."""
    for result in results:
        if result.direction is not None:
            size = abs(result.direction.cosine)
            words = f"{result.neuron} {size:.2f}, p {result.direction.p:.0e}"
            yield Reading(result.model.name, size, words)
