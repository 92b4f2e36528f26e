"""The judges of a run in the terminal: what each found, how far they agree, where they do not."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fulcra.report.notation import fixed
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.judging import (
        Disagreement,
        HorizonOutcomes,
        JudgeAgreement,
        JudgeEntry,
        JudgingResult,
    )

#: Disagreements printed; judgements.json has them all.
LISTED = 10


def judges_table(result: "JudgingResult") -> RenderableType:
    """The renderable that ends `fulcra judge`; no word of a completion is in it."""
    parts: list[RenderableType] = [
        Text(
            f"{result.rollouts} rollouts of {', '.join(result.stages)}; {result.completions}"
            " completions, each judged once"
        )
    ]
    for outcomes in result.outcomes:
        parts += ["", _outcomes(outcomes, result.labels).rich()]
    parts += opinion_parts(
        result.agreement, result.disagreements, result.judges, result.labels, _place
    )
    return Group(*parts)


def judge_sheets(result: "JudgingResult") -> list[Sheet]:
    """What every judge found at each horizon, then how far they agree there."""
    outcomes = [_outcomes(row, result.labels) for row in result.outcomes]
    return [*outcomes, *map(_agreement, result.agreement)]


def opinion_parts(
    agreement: "Sequence[JudgeAgreement]",
    disagreements: "Sequence[Disagreement]",
    judges: "Sequence[JudgeEntry]",
    labels: Mapping[str, str],
    place: "Callable[[Disagreement], str]",
) -> list[RenderableType]:
    """How far judges agree at every horizon, where they do not, and what they cost.

    `place` names the rollout of a disagreement.
    """
    parts: list[RenderableType] = []
    for horizon in agreement:
        parts += ["", _agreement(horizon).rich()]
    if disagreements:
        names = [judge.name for judge in judges]
        parts += ["", _disagreements(disagreements, names, labels, place)]
    return [*parts, *map(Text, _cost_lines(judges[1:]))]


def _outcomes(outcomes: "HorizonOutcomes", labels: Mapping[str, str]) -> Sheet:
    """What every judge found at one horizon."""
    counted = [name.replace("_", "\n") for name in labels.values()]
    rows = []
    for name, share in outcomes.judges.items():
        flips, counts = share.flips, [str(share.counts[outcome]) for outcome in labels]
        span = "" if flips.value is None else f" [{fixed(flips.low)}, {fixed(flips.high)}]"
        rows.append((name, *counts, f"{fixed(flips.value)}{span}"))
    columns = (f"by {outcomes.horizon} tokens", *counted, "flips")
    return Sheet(columns, rows, whole=("flips",))


def _agreement(agreement: "JudgeAgreement") -> Sheet:
    """Kappa of every two judges and alpha of all, on typed outcomes and on flips."""
    rows = []
    for pair in agreement.pairs:
        numbers = (str(pair.n), str(pair.same), fixed(pair.kappa), fixed(pair.kappa_flip))
        rows.append((" and ".join(pair.judges), *numbers))
    alphas = fixed(agreement.alpha), fixed(agreement.alpha_flip)
    rows.append(("all, Krippendorff's alpha", "", "", *alphas))
    numbers = ("n", "same", "kappa", "on flips")
    return Sheet((f"agreement at {agreement.horizon} tokens", *numbers), rows, "", numbers)


def _disagreements(
    disagreements: "Sequence[Disagreement]",
    names: Sequence[str],
    labels: Mapping[str, str],
    place: "Callable[[Disagreement], str]",
) -> Table:
    """The first completions that judges call differently, and what each judge calls them."""
    head = f"disagreements ({len(disagreements)})"
    rows = []
    for entry in disagreements[:LISTED]:
        outcomes = (labels.get(entry.outcomes[name] or "", "unscored") for name in names)
        calls = (outcome.replace("_", " ") for outcome in outcomes)
        rows.append((place(entry), entry.prompt, *calls))
    return Sheet((head, "prompt", *names), rows, whole=(head,)).rich()


def _place(row: "Disagreement") -> str:
    return f"{row.branch} {row.dose:g} by {row.horizon}"


def _cost_lines(judges: "Sequence[JudgeEntry]") -> list[str]:
    """What each judge left unscored and why, and what it cost; a blank line first if any."""
    lines = []
    for judge in judges:
        lines += [f"{judge.name}: {count} unscored: {why}" for why, count in judge.unscored.items()]
        if judge.usage.requests or judge.from_disk:
            lines.append(f"{judge.name}: {_usage(judge)}{_money(judge)}")
    return ["", *lines] if lines else []


def _usage(judge: "JudgeEntry") -> str:
    usage = judge.usage
    uncounted = f", {usage.uncounted} answers without a token count" if usage.uncounted else ""
    return (
        f"{usage.requests} requests, {judge.from_disk} answers from disk, {usage.read} tokens"
        f" read, {usage.written} written{uncounted}"
    )


def _money(judge: "JudgeEntry") -> str:
    """The cost of a judge that has a price; answers from disk cost nothing."""
    if judge.price is None:
        return ""
    least = "at least " if judge.usage.uncounted else ""
    return (
        f"; cost {least}{judge.cost:.6g} at"
        f" {judge.price.read:g}/{judge.price.written:g} a million tokens"
    )
