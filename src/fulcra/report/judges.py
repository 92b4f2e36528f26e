"""The judges of a run in the terminal: what each found, how far they agree, where they do not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

Row = Mapping[str, Any]
#: Disagreements printed; judgements.json has them all.
LISTED = 10


def judges_table(found: Mapping[str, Any]) -> RenderableType:
    """The renderable that ends `fulcra judge`; no word of a completion is in it."""
    head = (
        f"{found['rollouts']} rollouts of {', '.join(found['stages'])}; {found['completions']}"
        " completions, each judged once"
    )
    names = [judge["name"] for judge in found["judges"]]
    parts: list[RenderableType] = [Text(head)]
    for given in found["outcomes"]:
        parts += ["", _outcomes(given, found["labels"])]
    for given in found["agreement"]:
        parts += ["", agreement_table(given, f"agreement at {given['horizon']} tokens")]
    if found["disagreements"]:
        parts += ["", disagreement_table(found["disagreements"], names, found["labels"], _place)]
    return Group(*parts, *map(Text, cost_lines(found["judges"][1:])))


def _outcomes(given: Mapping[str, Any], labels: Mapping[str, str]) -> Table:
    """What every judge found at one horizon."""
    columns = (name.replace("_", "\n") for name in labels.values())
    table = Table(
        f"by {given['horizon']} tokens",
        *columns,
        Column("flips", no_wrap=True),
        box=None,
        padding=(0, 1, 0, 0),
    )
    for name, share in given["judges"].items():
        value, low, high = (share["flips"][key] for key in ("value", "low", "high"))
        rate = "-" if value is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
        table.add_row(
            Text(name), *(str(share["counts"][outcome]) for outcome in labels), Text(rate)
        )
    return table


def agreement_table(given: Mapping[str, Any], head: str) -> Table:
    """Kappa of every two judges and alpha of all, on typed outcomes and on flips."""
    table = Table(head, "n", "same", "kappa", "on flips", box=None, pad_edge=False)
    for pair in given["pairs"]:
        names = Text(f"{pair['judges'][0]} and {pair['judges'][1]}")
        table.add_row(
            names,
            str(pair["n"]),
            str(pair["same"]),
            _number(pair["kappa"]),
            _number(pair["kappa_flip"]),
        )
    table.add_row(
        "all, Krippendorff's alpha", "", "", _number(given["alpha"]), _number(given["alpha_flip"])
    )
    return table


def disagreement_table(
    rows: Sequence[Row],
    names: Sequence[str],
    labels: Mapping[str, str],
    place: Callable[[Row], str],
) -> Table:
    """The first completions that judges call differently: where each was said, and what each judge
    calls it.
    """
    table = Table(
        Column(f"disagreements ({len(rows)})", no_wrap=True),
        "prompt",
        *(Column(Text(name)) for name in names),
        box=None,
        padding=(0, 1, 0, 0),
    )
    for row in rows[:LISTED]:
        said = (labels.get(row["outcomes"][name], "unscored").replace("_", " ") for name in names)
        table.add_row(Text(place(row)), Text(row["prompt"]), *said)
    return table


def _place(row: Row) -> str:
    return f"{row['branch']} {row['dose']:g} by {row['horizon']}"


def cost_lines(judges: Sequence[Row]) -> list[str]:
    """What each judge left unscored and why, and what it cost; a blank line first where there is
    any.
    """
    lines = []
    for judge in judges:
        lines += [
            f"{judge['name']}: {count} unscored: {why}" for why, count in judge["unscored"].items()
        ]
        usage = judge["usage"]
        if usage["requests"] or judge["from_disk"]:
            asked = f"{usage['requests']} requests, {judge['from_disk']} answers from disk"
            unknown = (
                f", {usage['uncounted']} answers without a token count"
                if usage["uncounted"]
                else ""
            )
            lines.append(
                f"{judge['name']}: {asked}, {usage['read']} tokens read, {usage['written']}"
                f" written{unknown}{_money(judge)}"
            )
    return ["", *lines] if lines else []


def _money(judge: Row) -> str:
    """The cost of a judge that has a price; answers from disk cost nothing."""
    if judge["price"] is None:
        return ""
    least = "at least " if judge["usage"]["uncounted"] else ""
    return (
        f"; cost {least}{judge['cost']:.6g} at"
        f" {judge['price']['read']:g}/{judge['price']['written']:g} a million tokens"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
