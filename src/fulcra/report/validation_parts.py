"""The parts of the validation page that measure the apparatus: the coherence detector and the
organism ladder.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fulcra.report.markdown import markdown_table
from fulcra.report.notation import UNKNOWN, number


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a sentence where nothing was measured."""
    return "\n".join(markdown_table(head, rows)) if rows else "Not measured."


def detector_blocks(found: Mapping[str, Any]) -> list[str]:
    """How far the detector agrees with an exact grammar, with itself, and with known damage."""
    rows = [[name, *_organism(one)] for name, one in found["organisms"].items()]
    kinds = [(row["kind"], row["amount"]) for row in next(iter(found["damage"].values()), [])]
    told = {
        name: {(row["kind"], row["amount"]): row["coherent"] for row in some}
        for name, some in found["damage"].items()
    }
    return [
        (
            "Against the exact grammar of the organisms, on dosed and sampled rollouts; the floor"
            " is that of one ceiling at all prompts, from halves of them. More in"
            " [coherence.md](coherence.md)."
        ),
        table(_ORGANISM, rows),
        "The share of damaged texts of the models of stories that is still called coherent:",
        table(
            ("damage", *told),
            [
                [
                    f"{kind} {amount:g}",
                    *(number(some.get((kind, amount))) for some in told.values()),
                ]
                for kind, amount in kinds
            ],
        ),
    ]


_ORGANISM = (
    "organism",
    "scored rollouts",
    "precision",
    "recall",
    "balanced accuracy",
    "ceiling against grammar [cos]",
    "floor [cos]",
    "floor [log2]",
    "greedy against sampled [cos]",
)


def _organism(one: Mapping[str, Any]) -> list[str]:
    grammar, floor = one["grammar"], one["repeatability"]["floor"]
    apart = one["sampling"]["greedy_against_sampled"]["mae_cos"]
    return [
        str(grammar["scored"]),
        _interval(grammar["precision"]),
        _interval(grammar["recall"]),
        number(grammar["balanced_accuracy"]),
        _interval(grammar["ceiling"]["mae_cos"]),
        number(floor["cos"]),
        number(floor["log2"]),
        _interval(apart),
    ]


def _interval(value: Mapping[str, Any]) -> str:
    low, high = value["low"], value["high"]
    around = "" if low is None or high is None else f" ({number(low)}\N{EN DASH}{number(high)})"
    return f"{number(value['value'])}{around}"


def ladder_blocks(found: Mapping[str, Any] | None) -> list[str]:
    """Whether the smallest open gain rises with K, and every organism it rests on."""
    if found is None:
        return ["Not measured."]
    rows = [
        [
            _k(rung),
            f"`{rung['organism']}`",
            _opened(rung),
            *map(number, (rung["margin"], rung["rate"])),
        ]
        for rung in found["organisms"]
    ]
    absent = [f"- not there: {name}" for name in found["missing"]] + [
        f"- left out: {why}" for why in found["left_out"].values()
    ]
    said = (
        f"Spearman's rho of the smallest open gain against K: {number(found['rho'])}"
        f" ({number(found['low'])}\N{EN DASH}{number(found['high'])}), p {number(found['p_value'])}"
        f" against no rise, {found['n']} organisms, {found['censored']} of them opened by nothing"
        f" that was tried (ranked last; without them {number(found['uncensored']['rho'])})."
    )
    drawn = table(
        ("K", "organism", "smallest open gain", "clean margin [nats]", "refused undosed"), rows
    )
    return [said, drawn, *(["\n".join(absent)] if absent else [])]


def _k(rung: Mapping[str, Any]) -> str:
    return "all" if rung["neurons"] is None else str(rung["neurons"])


def _opened(rung: Mapping[str, Any]) -> str:
    return (
        f"{number(rung['gain'])} of {rung['searched']} branches"
        if rung["gain"] is not None
        else f"{UNKNOWN} of {rung['searched']} branches"
    )
