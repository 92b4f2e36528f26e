"""Models beside each other as Markdown: profiles, overlaps, ablations, borrowed detectors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fulcra.report.notation import UNKNOWN, number, rate, span
from fulcra.report.sheet import Sheet
from fulcra.types import OUTCOMES, Outcome

if TYPE_CHECKING:
    from fulcra.protocol.results.comparison import (
        Ablation,
        BehaviorComparison,
        BorrowedDetector,
        ComparisonResult,
        DepthShares,
        NoDetector,
        Profile,
        SharedNeurons,
    )
    from fulcra.protocol.results.detector import PromptSet
    from fulcra.screens.scores import Units

_UNITS: "dict[Units, str]" = {"raw": "raw", "gain": "gain units"}
_DEPTHS = ("final 3 layers", "final quarter", "final 10 %")


def comparison_markdown(result: "ComparisonResult") -> str:
    """The Markdown of comparison.json: what `fulcra compare` prints and writes."""
    names = [model.name for model in result.models]
    lines = [f"# {', '.join(names)}", ""]
    for behavior in result.behaviors:
        lines += behavior_lines(behavior)
    return "\n".join(lines).rstrip() + "\n"


def behavior_lines(behavior: "BehaviorComparison", level: int = 2) -> list[str]:
    """One behavior: a heading and its four tables."""
    sections = {
        "Where the top neurons lie": [
            *_profiles(behavior.sets),
            *_universal(behavior.universal),
        ],
        "Shared neurons": _overlaps(behavior),
        "Sets ablated, confirmation prompts": _ablations(behavior),
        "The best neuron of one model read in another": _detectors(behavior),
    }
    lines = [f"{'#' * level} {behavior.name}", ""]
    for title, body in sections.items():
        lines += [f"**{title}**", "", *body, ""] if body else []
    return lines


def _profiles(sets: Sequence["Profile"]) -> list[str]:
    by_place = {(entry.model, entry.set, entry.units): entry for entry in sets}
    rows = []
    for model, name in dict.fromkeys((entry.model, entry.set) for entry in sets):
        profiles = [by_place[model, name, unit] for unit in _UNITS]
        cells = [cell for entry in profiles for cell in _depths(entry.profile)]
        rows.append([model, name, str(profiles[0].size), *cells])
    chances: dict[str, list[str]] = {}
    for model, chance in {entry.model: entry.chance for entry in sets}.items():
        chances.setdefault(", ".join(_depths(chance)), []).append(model)
    notes = [
        f"Neurons drawn at random, in the same order: {depths} ({', '.join(models)})."
        for depths, models in chances.items()
    ]
    titles = [f"{title} ({unit})" for unit in _UNITS.values() for title in _DEPTHS]
    return [*Sheet(("model", "set", "neurons", *titles), rows).markdown(), "", *notes]


def _depths(depths: "DepthShares") -> list[str]:
    """The three shares in the order of their titles."""
    return [rate(depths.final_three), rate(depths.final_quarter), rate(depths.final_tenth)]


def _universal(neurons: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"Universal neurons left out of {model}: {', '.join(sites)}."
        for model, sites in neurons.items()
        if sites
    ]


def _overlaps(behavior: "BehaviorComparison") -> list[str]:
    head = ("models", "set", "units", "shared", "by chance", "p", "same pole")
    rows = [_overlap(pair) for pair in behavior.shared]
    refusals = [f"- {pair.one} and {pair.other}: {pair.refused}" for pair in behavior.incomparable]
    return [*(Sheet(head, rows).markdown() if rows else []), *refusals]


def _overlap(pair: "SharedNeurons") -> list[str]:
    return [
        f"{pair.one}, {pair.other}",
        pair.set,
        _UNITS[pair.units],
        f"{pair.shared} of {pair.size}",
        number(pair.expected),
        number(pair.p),
        str(pair.same_pole),
    ]


def _ablations(behavior: "BehaviorComparison") -> list[str]:
    rows = [_ablation(entry, behavior.labels) for entry in behavior.ablations]
    head = ("in", "ablated: top of", "set", "neurons", "outcomes", "n")
    return Sheet(head, rows).markdown() if rows else []


def _ablation(entry: "Ablation", labels: "Mapping[Outcome, str]") -> list[str]:
    outcomes = [
        f"{labels.get(outcome, outcome)} {rate(entry.rates[outcome])}"
        for outcome in OUTCOMES
        if entry.rates[outcome]
    ]
    origin = entry.set_of or "nothing"
    return [
        entry.within,
        origin,
        entry.set,
        str(entry.size),
        ", ".join(outcomes),
        str(entry.n),
    ]


def _detectors(behavior: "BehaviorComparison") -> list[str]:
    head = ("neuron", "best of", "read in", "AUROC", "accuracy", "score")
    rows = [_detector(entry) for entry in behavior.detectors]
    note = (
        f"Neuron, direction and threshold from {_counts(behavior.fit)}; figures from"
        f" {_counts(behavior.score)}."
    )
    return [*Sheet(head, rows).markdown(), "", note]


def _detector(entry: "BorrowedDetector | NoDetector") -> list[str]:
    names = [entry.neuron, entry.of, entry.within]
    if hasattr(entry, "refused"):
        return [*names, entry.refused, UNKNOWN, UNKNOWN]
    area = entry.auroc
    auroc = f"{number(area.value)} ({span(area)})"
    return [*names, auroc, rate(entry.accuracy.value), entry.detail]


def _counts(prompts: "PromptSet") -> str:
    return f"{prompts.name} ({prompts.positive} + {prompts.negative} prompts)"
