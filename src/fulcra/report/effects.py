"""What a recipe does besides, in the terminal: every set by the run and by every judge, then text
and tasks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from fulcra.report.judges import Row, agreement_table, cost_lines, disagreement_table


def effects_table(found: Mapping[str, Any]) -> RenderableType:
    """The renderable that ends `fulcra effects`; no word of a completion is in it."""
    parts: list[RenderableType] = []
    for one in found["sets"]:
        parts += [
            _figures(f"{one['name']}, {one['horizon']} tokens", dict(_rows(one))),
            *_horizons(one),
            *_opinions(one),
            "",
        ]
    parts += [_figures("other text and tasks", {**found["figures"], **found["tasks"]}), ""]
    edits = ", ".join(found["recipe"]["edits"])
    return Group(
        *parts, Text(f"KL on generic text {found['kl_per_token']:.3f} nats a token; {edits}")
    )


def _rows(one: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """The figures of a set by name: the run's own, then each judge's."""
    yield from one["figures"].items()
    for judge in one["judges"][1:]:
        for name, row in judge["figures"].items():
            yield f"{name} by {judge['name']}", row


def _figures(head: str, rows: Mapping[str, Row]) -> Table:
    columns = (Column(Text(head), overflow="fold"), "without", "with", "difference (95 %)", "items")
    table = Table(*columns, box=None, pad_edge=False)
    for name, row in rows.items():
        spread = (
            "-"
            if row["difference"] is None
            else f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        )
        clean, edited = (
            "-" if row[side] is None else f"{row[side]:.3f}" for side in ("clean", "edited")
        )
        unscored = f", {row['unscored']} unscored" if row["unscored"] else ""
        table.add_row(Text(name), clean, edited, spread, f"{row['n']}{unscored}")
    return table


def _horizons(one: Mapping[str, Any]) -> Iterator[Text]:
    """How often every judge sees a flip by each horizon; nothing where there is but one."""
    for judge in one["judges"] if len(one["outcomes"]) > 1 else ():
        for side, words in (("clean", "without"), ("edited", "with")):
            flips = [
                (given["horizon"], given["judges"][judge["name"]][side]["flips"]["value"])
                for given in one["outcomes"]
            ]
            rates = ", ".join(
                f"{'-' if rate is None else f'{rate:.2f}'} by {horizon}" for horizon, rate in flips
            )
            yield Text(f"flips {words}: {rates} tokens ({judge['name']})")


def _opinions(one: Mapping[str, Any]) -> list[RenderableType]:
    """How far the judges of a set agree, where they do not, and what they cost; nothing without
    judges.
    """
    if len(one["judges"]) == 1:
        return []
    parts: list[RenderableType] = []
    for given in one["agreement"]:
        parts += ["", agreement_table(given, f"agreement at {given['horizon']} tokens")]
    if one["disagreements"]:
        names = [judge["name"] for judge in one["judges"]]
        parts += ["", disagreement_table(one["disagreements"], names, one["labels"], _place)]
    return [*parts, *map(Text, cost_lines(one["judges"][1:]))]


def _place(row: Row) -> str:
    return f"{'without' if row['branch'] == 'clean' else 'with'} by {row['horizon']}"
