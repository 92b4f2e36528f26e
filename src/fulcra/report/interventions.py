"""The comparison of interventions as a page of the documentation."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# What interventions achieve, and what they cost

Written by `make effects` from `docs/evidence/effects.json`; do not edit. Every kind of intervention on the neurons that an audit
had screened, or along the contrast of its prompts. Site and dose are chosen on the selection prompts: of the options that flip at
least {target:.0%} of them the one with the least divergence on generic text, or, where none does (not matched), the one that flips
most. All figures are of other prompts: rate and strict reach of the flip, coherent by precedence, and quality (unique / total
word 4-grams) on the confirmation prompts; surprise [nats a token, under the clean model] and KL [nats a token, from the clean
model] on generic text; accuracy and over-refusal on allowed requests about other facts. Intervals are 95 % Wilson.

Doses: scale, the factor; pin and anchor, the activation (its bound); add and add_vector, the gain in budgets; add_mlp, multiples
of the mean difference; ablate_direction, 1. One seed and few prompts a model: read differences against the intervals.
"""
COLUMNS = (
    "intervention",
    "site",
    "dose",
    "matched",
    "rate (95 %)",
    "reach",
    "quality",
    "surprise",
    "KL",
    "accuracy",
    "over-refusal",
)


def effects_markdown(found: Mapping[str, Any]) -> str:
    """The page of a comparison: one table a model."""
    tables = []
    for model in dict.fromkeys(row["model"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["model"] == model]
        lines = [
            _line(COLUMNS),
            _line(["---"] * len(COLUMNS)),
            *(_line(_cells(row)) for row in rows),
        ]
        tables.append(
            f"## {model}, {rows[0]['behavior']} ({rows[-1]['n']} confirmation prompts)\n\n"
            + "\n".join(lines)
            + "\n"
        )
    return HEAD.format(target=found["target"]) + "\n" + "\n".join(tables)


def _cells(row: Mapping[str, Any]) -> list[str]:
    bare = row["intervention"] == "none"
    rate = f"{row['behavior_rate']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
    numbers = (
        _number(row[name])
        for name in ("reach", "quality", "surprise", "kl_per_token", "accuracy", "over_refusal")
    )
    return [
        row["intervention"],
        row["site"],
        "" if bare else f"{row['dose']:.3g}",
        "" if bare else _yes(row["matched"]),
        rate,
        *numbers,
    ]


def _yes(matched: bool) -> str:
    return "yes" if matched else "no"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
