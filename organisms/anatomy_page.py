"""The anatomy page of the documentation: models beside each other, and gate and knowledge."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from knowledge_page import knowledge_lines
from knowledge_result import Knowledge, Question

from fulcra.protocol.results.comparison import (
    BehaviorComparison,
    BorrowedDetector,
    ComparisonResult,
    Profile,
    SharedNeurons,
)
from fulcra.report.comparison import behavior_lines
from fulcra.report.notation import number, rate
from fulcra.report.template import filled
from fulcra.types import FLIPS

_COUNTED: dict[Question, str] = {
    "refuse": "refusals",
    "topic": "replies about the topic",
    "actionable": "true withheld answers",
}


class Span(NamedTuple):
    """The smallest and largest share of a model's top 1 % in the final quarter of the layers."""

    low: float
    high: float


class Ablated(NamedTuple):
    """How often a model's replies show the behavior undosed, and with its own top 1 % ablated.

    `random` is the rate with as many random neurons ablated, `flips` that of flips with its own.
    """

    model: str
    undosed: float
    own: float
    random: float
    flips: float


class Borrowed(NamedTuple):
    """The AUROC of a model's best neuron at home and in the first model."""

    neuron: str
    model: str
    home: float | None
    base: float | None


class BehaviorFindings(NamedTuple):
    """What the page says first of one behavior: of two models, `most` is shared or `least`."""

    name: str
    raw: Span
    gain: Span
    chance: float
    most: SharedNeurons
    least: SharedNeurons
    ablated: tuple[Ablated, ...]
    borrowed: tuple[Borrowed, ...]


def anatomy_page(comparison: ComparisonResult, knowledge: Knowledge) -> str:
    """The Markdown of docs/anatomy.md from a comparison and gate and knowledge."""
    behaviors, base = comparison.behaviors, comparison.models[0]
    page = filled(
        "anatomy.md",
        Path(__file__).parent,
        knowledge=knowledge,
        neurons=base.layers * base.d_mlp,
        base=base.name,
        behaviors=[_findings(behavior) for behavior in behaviors],
        displaced=_displaced(knowledge),
        counted=_COUNTED,
        rate=rate,
        number=number,
        knowledge_lines=knowledge_lines(knowledge),
        comparison_lines=[line for behavior in behaviors for line in behavior_lines(behavior)],
    )
    return page.rstrip() + "\n"


def _findings(behavior: BehaviorComparison) -> BehaviorFindings:
    """The figures of one behavior that the page names in words."""
    top = [entry for entry in behavior.sets if entry.set == "1 %"]
    overlaps = [pair for pair in behavior.shared if (pair.set, pair.units) == ("1 %", "raw")]
    return BehaviorFindings(
        name=behavior.name,
        raw=_span(top, "raw"),
        gain=_span(top, "gain"),
        chance=top[0].chance.final_quarter,
        most=max(overlaps, key=lambda pair: pair.shared),
        least=min(overlaps, key=lambda pair: pair.shared),
        ablated=tuple(_ablated(behavior)),
        borrowed=tuple(_borrowed(behavior)),
    )


def _span(sets: Sequence[Profile], units: str) -> Span:
    shares = [entry.profile.final_quarter for entry in sets if entry.units == units]
    return Span(min(shares), max(shares))


def _ablated(behavior: BehaviorComparison) -> Iterator[Ablated]:
    """One row a model, from the sets of its own that were ablated in it."""
    rates = {
        (entry.within, entry.set_of): entry.rates
        for entry in behavior.ablations
        if entry.set in ("undosed", "1 %")
    }
    for model in dict.fromkeys(name for name, _ in rates):
        yield Ablated(
            model,
            undosed=rates[model, None]["unchanged"],
            own=rates[model, model]["unchanged"],
            random=rates[model, "random"]["unchanged"],
            flips=sum(rates[model, model][outcome] for outcome in FLIPS),
        )


def _borrowed(behavior: BehaviorComparison) -> Iterator[Borrowed]:
    """One row a model but the first, the base checkpoint of paper C."""
    base = behavior.sets[0].model
    scores = {
        (entry.of, entry.within): entry
        for entry in behavior.detectors
        if isinstance(entry, BorrowedDetector)
    }
    for model in dict.fromkeys(name for name, _ in scores if name != base):
        home, borrowed = scores[model, model], scores[model, base]
        yield Borrowed(home.neuron, model, home.auroc.value, borrowed.auroc.value)


def _displaced(knowledge: Knowledge) -> bool:
    """Whether holding the concept ends refusals and frees no withheld answer."""
    held = {each.on: each for each in knowledge.contrasts if each.what == "concept held"}
    refusals, answers = held["refuse"], held["actionable"]
    return (
        refusals.with_.value < refusals.without.value
        and answers.with_.value <= answers.without.value
    )
