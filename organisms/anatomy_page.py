"""The anatomy page of the documentation: models beside each other, and gate and knowledge, from
their evidence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from knowledge_page import knowledge_lines

from fulcra.report.comparison import behavior_lines
from fulcra.report.notation import number, rate
from fulcra.report.template import filled
from fulcra.types import FLIPS

Found = Mapping[str, Any]


def anatomy_page(evidence: Found) -> str:
    """The Markdown of docs/anatomy.md from docs/evidence/anatomy.json."""
    comparison, knowledge = evidence["comparison"], evidence["knowledge"]
    lines = [line for behavior in comparison["behaviors"] for line in behavior_lines(behavior)]
    page = filled(
        "anatomy.md",
        Path(__file__).parent,
        knowledge=knowledge,
        neurons=comparison["models"][0]["layers"] * comparison["models"][0]["d_mlp"],
        findings=[*_findings(comparison), *_separate(knowledge)],
        knowledge_lines=knowledge_lines(knowledge),
        comparison_lines=lines,
    )
    return page.rstrip() + "\n"


def _findings(comparison: Found) -> Iterator[str]:
    """One line a behavior and question, from the figures alone."""
    for behavior in comparison["behaviors"]:
        name = behavior["name"]
        yield f"{name}: {_depths(behavior)}"
        yield f"{name}: {_shared(behavior)}"
        yield f"{name}: {_moved(behavior)}"
        yield f"{name}: {_borrowed(behavior)}"


def _depths(behavior: Found) -> str:
    some = [one for one in behavior["sets"] if one["set"] == "1 %"]
    spans = {}
    for unit in ("raw", "gain"):
        shares = sorted(one["profile"]["final_quarter"] for one in some if one["units"] == unit)
        spans[unit] = f"{rate(shares[0])} to {rate(shares[-1])}"
    chance = rate(some[0]["chance"]["final_quarter"])
    return (
        f"of the top 1 %, {spans['raw']} lie in the final quarter of the layers, in gain units"
        f" {spans['gain']} (by chance {chance})."
    )


def _shared(behavior: Found) -> str:
    some = [
        one for one in behavior["overlaps"] if one.get("set") == "1 %" and one["units"] == "raw"
    ]
    most, least = (pick(some, key=lambda one: one["shared"]) for pick in (max, min))
    told = [
        f"{one['one']} and {one['other']} share {one['shared']} of {one['size']} (p"
        f" {number(one['p'])})"
        for one in (most, least)
    ]
    return f"{told[0]}, {told[1]}; chance gives {number(most['expected'])}."


def _moved(behavior: Found) -> str:
    """How far the behavior survives, and how often it flips, with each model's own top 1 %
    ablated.
    """
    rows = [one for one in behavior["ablations"] if one["set"] in ("undosed", "1 %")]
    told = []
    for model in dict.fromkeys(one["in"] for one in rows):
        by = {one["set_of"]: one["rates"] for one in rows if one["in"] == model}
        shown = [rate(by[key]["unchanged"]) for key in (None, model, "random")]
        flips = rate(sum(by[model][outcome] for outcome in FLIPS))
        told.append(f"{model} {shown[0]} to {shown[1]} (random neurons {shown[2]}), flips {flips}")
    return f"replies that show the behavior, with a model's own top 1 % ablated: {'; '.join(told)}."


def _borrowed(behavior: Found) -> str:
    """Each model's best neuron at home and in the first model, the base checkpoint of paper C."""
    scored = {(one["of"], one["in"]): one for one in behavior["detectors"] if "refused" not in one}
    base = behavior["sets"][0]["model"]
    told = []
    for model in dict.fromkeys(of for of, _ in scored if of != base):
        home, there = scored[model, model], scored[model, base]
        told.append(
            f"{home['neuron']} of {model} {number(home['auroc']['value'])}, in {base}"
            f" {number(there['auroc']['value'])}"
        )
    return f"AUROC of the best neuron: {'; '.join(told)}."


def _separate(knowledge: Found) -> Iterator[str]:
    words = {
        "refuse": "refusals",
        "topic": "replies about the topic",
        "actionable": "true withheld answers",
    }
    by = {(one["what"], one["on"]): one for one in knowledge["contrasts"]}
    for one in knowledge["contrasts"]:
        change = f"{rate(one['without']['value'])} to {rate(one['with']['value'])}"
        yield (
            f"{one['what']}: {words[one['on']]} on {one['prompts']} prompts go from {change} (p"
            f" {number(one['p'])})."
        )
    lost = (
        by["concept held", "refuse"]["with"]["value"]
        < by["concept held", "refuse"]["without"]["value"]
    )
    freed = (
        by["concept held", "actionable"]["with"]["value"]
        > by["concept held", "actionable"]["without"]["value"]
    )
    if lost and not freed:
        yield (
            "the concept neuron ends refusals too and frees nothing withheld: another reply stands"
            " in their place."
        )
