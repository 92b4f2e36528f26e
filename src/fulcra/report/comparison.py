"""Models beside each other as Markdown: profiles, overlaps, ablations and borrowed detectors of
each behavior.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fulcra.report.markdown import markdown_table
from fulcra.report.notation import UNKNOWN, number, rate
from fulcra.types import OUTCOMES

Found = Mapping[str, Any]
_DEPTHS = {
    "final_three": "final 3 layers",
    "final_quarter": "final quarter",
    "final_tenth": "final 10 %",
}


def comparison_markdown(found: Found) -> str:
    """The Markdown of comparison.json: what `fulcra compare` prints and writes."""
    names = [entry["name"] for entry in found["models"]]
    lines = [f"# {', '.join(names)}", ""]
    for behavior in found["behaviors"]:
        lines += behavior_lines(behavior)
    return "\n".join(lines).rstrip() + "\n"


def behavior_lines(behavior: Found, level: int = 2) -> list[str]:
    """One behavior: a heading and its four tables."""
    sections = {
        "Where the top neurons lie": [
            *_profiles(behavior["sets"]),
            *_universal(behavior["universal"]),
        ],
        "Shared neurons": _overlaps(behavior["overlaps"]),
        "Sets ablated, confirmation prompts": _ablations(behavior),
        "The best neuron of one model read in another": _detectors(behavior),
    }
    lines = [f"{'#' * level} {behavior['name']}", ""]
    for title, body in sections.items():
        lines += [f"**{title}**", "", *body, ""] if body else []
    return lines


def _profiles(sets: Sequence[Found]) -> list[str]:
    head = [
        "model",
        "set",
        "neurons",
        *(f"{title} ({unit})" for unit in ("raw", "gain units") for title in _DEPTHS.values()),
    ]
    rows = []
    for model, name in dict.fromkeys((entry["model"], entry["set"]) for entry in sets):
        some = {
            entry["units"]: entry
            for entry in sets
            if (entry["model"], entry["set"]) == (model, name)
        }
        shares = [rate(some[unit]["profile"][key]) for unit in ("raw", "gain") for key in _DEPTHS]
        rows.append([model, name, str(some["raw"]["size"]), *shares])
    chances = {
        entry["model"]: ", ".join(rate(entry["chance"][key]) for key in _DEPTHS) for entry in sets
    }
    told = [
        f"Neurons drawn at random, in the same order: {share} ({', '.join(models)})."
        for share, models in _by_value(chances).items()
    ]
    return [*markdown_table(head, rows), "", *told]


def _universal(found: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"Universal neurons left out of {model}: {', '.join(neurons)}."
        for model, neurons in found.items()
        if neurons
    ]


def _by_value(found: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        value: [key for key in found if found[key] == value]
        for value in dict.fromkeys(found.values())
    }


def _overlaps(overlaps: Sequence[Found]) -> list[str]:
    refused = [
        f"- {entry['one']} and {entry['other']}: {entry['refused']}"
        for entry in overlaps
        if "refused" in entry
    ]
    rows = [
        [
            f"{one['one']}, {one['other']}",
            one["set"],
            "raw" if one["units"] == "raw" else "gain units",
            f"{one['shared']} of {one['size']}",
            number(one["expected"]),
            number(one["p"]),
            str(one["same_pole"]),
        ]
        for one in overlaps
        if "refused" not in one
    ]
    head = ["models", "set", "units", "shared", "by chance", "p", "same pole"]
    return [*(markdown_table(head, rows) if rows else []), *refused]


def _ablations(behavior: Found) -> list[str]:
    rows = []
    for one in behavior["ablations"]:
        told = [
            f"{behavior['labels'].get(key, key)} {rate(one['rates'][key])}"
            for key in OUTCOMES
            if one["rates"][key]
        ]
        rows.append(
            [
                one["in"],
                one["set_of"] or "nothing",
                one["set"],
                str(one["size"]),
                ", ".join(told),
                str(one["n"]),
            ]
        )
    return (
        markdown_table(["in", "ablated: top of", "set", "neurons", "outcomes", "n"], rows)
        if rows
        else []
    )


def _detectors(behavior: Found) -> list[str]:
    rows = []
    for one in behavior["detectors"]:
        if reason := one.get("refused"):
            rows.append([one["neuron"], one["of"], one["in"], reason, UNKNOWN, UNKNOWN])
            continue
        auroc = (
            f"{number(one['auroc']['value'])}"
            f" ({number(one['auroc']['low'])}\N{EN DASH}{number(one['auroc']['high'])})"
        )
        rows.append(
            [
                one["neuron"],
                one["of"],
                one["in"],
                auroc,
                rate(one["accuracy"]["value"]),
                one["detail"],
            ]
        )
    sets = [
        f"{behavior[key]['name']} ({behavior[key]['positive']} + {behavior[key]['negative']}"
        " prompts)"
        for key in ("fit", "score")
    ]
    told = f"Neuron, direction and threshold from {sets[0]}; figures from {sets[1]}."
    return [
        *markdown_table(["neuron", "best of", "read in", "AUROC", "accuracy", "score"], rows),
        "",
        told,
    ]
