"""The figures of paper B's rows: sets of neurons multiplied, where they lie, who shares them."""

from collections.abc import Iterator, Sequence

from fulcra.protocol.results.comparison import BehaviorComparison, ComparisonResult
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.interventions import InterventionsResult
from fulcra.protocol.results.multiply import MultiplierRow, MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.release.replication.reading import Reading, percent, points
from fulcra.report.notation import fixed

#: The paper's set: a thousandth of all neurons.
SMALLEST = "0.1%"


def _smallest(result: MultiplyResult) -> list[MultiplierRow]:
    return [row for row in result.rows if (row.set, row.pole) == (SMALLEST, "both")]


def set_refusals(results: Sequence[MultiplyResult]) -> Iterator[Reading]:
    """How often the behavior is shown, with the smallest set as it is and held at 0."""
    for result in results:
        rates = {row.multiplier: row.behavior_rate for row in _smallest(result)}
        n = min(row.n for row in _smallest(result))
        words = f"{percent(rates[1])} to {percent(rates[0])}, n = {n}"
        yield Reading(result.model.name, rates[0] - rates[1], words)


def set_quality(results: Sequence[MultiplyResult]) -> Iterator[Reading]:
    """The quality of text over all multipliers of the smallest set, its range."""
    for result in results:
        quality = [row.quality for row in _smallest(result) if row.quality is not None]
        words = f"{min(quality):.3f} to {max(quality):.3f}" if quality else "nothing scored"
        yield Reading(result.model.name, min(quality, default=None), words)


def vector_quality(results: Sequence[InterventionsResult]) -> Iterator[Reading]:
    """The quality of text under the vector added to every MLP, at the dose that was chosen."""
    for row in (row for result in results for row in result.rows):
        if row.intervention == "add_mlp":
            yield Reading(row.model, row.quality, f"{fixed(row.quality, 3)}, {row.behavior}")


def tasks(results: Sequence[EffectsResult]) -> Iterator[Reading]:
    """What an edit changes of each task."""
    for result in results:
        changes = {
            name.removesuffix(" acc"): paired.difference
            for name, paired in result.tasks.items()
            if paired.difference is not None
        }
        words = ", ".join(f"{name} {points(change)}" for name, change in changes.items())
        worst = min(changes.values(), default=None)
        yield Reading(result.model.name, worst, words or "no task")


def late_layers(results: Sequence[ComparisonResult]) -> Iterator[Reading]:
    """Shares of the largest contrasts in the final three layers and in the final quarter."""
    for result, behavior in _behaviors(results):
        for each in behavior.sets:
            if (each.units, each.set) == ("raw", _fixed_set(result)):
                shares = each.profile.final_three, each.profile.final_quarter
                words = " and ".join(map(percent, shares))
                yield Reading(each.model, shares[1], f"{words} of {each.size}")


def late_screened(results: Sequence[ScreensResult]) -> Iterator[Reading]:
    """The share of the largest contrasts in the final quarter, in raw and in gain units."""
    for result in results:
        late = result.late_layers
        if late is not None:
            words = f"final quarter {percent(late.raw)} of 32, in gain units {percent(late.gain)}"
            yield Reading(result.model.name, late.raw, words)


def overlap(results: Sequence[ComparisonResult]) -> Iterator[Reading]:
    """The share of neurons that the first model, the base, has in common with each other one."""
    for result, behavior in _behaviors(results):
        for pair in behavior.shared:
            named = (pair.one, pair.units, pair.set)
            if named == (result.models[0].name, "raw", _fixed_set(result)):
                share = pair.shared / pair.size
                yield Reading(pair.other, share, f"{percent(share)} of {pair.size}")


def base_ablated(results: Sequence[ComparisonResult]) -> Iterator[Reading]:
    """How many replies of the first model, the base, show the behavior with its set ablated."""
    for result, behavior in _behaviors(results):
        base = result.models[0].name
        shown = {
            each.set_of: each.rates["unchanged"]
            for each in behavior.ablations
            if each.within == base
            and each.set in ("undosed", "1 %")
            and each.set_of in (None, base)
        }
        if len(shown) == 2:
            words = (
                f"{behavior.name}: {percent(shown[None])} of replies, then {percent(shown[base])}"
            )
            yield Reading(base, shown[base] - shown[None], words)


def contrast(results: Sequence[ScreensResult]) -> Iterator[Reading]:
    """How contrast ranks what an additive dose opens."""
    for result in results:
        score = result.screen("contrastive", "gain")
        if score is not None:
            yield Reading(result.model.name, score.auroc, f"AUROC {fixed(score.auroc)}")


def _fixed_set(result: ComparisonResult) -> str:
    """The set of a fixed size, as the result names it."""
    return f"top {result.settings.top_k}"


def _behaviors(
    results: Sequence[ComparisonResult],
) -> Iterator[tuple[ComparisonResult, BehaviorComparison]]:
    for result in results:
        yield from ((result, behavior) for behavior in result.behaviors)
