"""An extension of a run in the terminal: each branch after more prompts, and the rule."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report.notation import rate
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.extension import ExtendedBranch, ExtensionResult

COLUMNS = ("branch", "gain", "run", "more", "rate", "97.5 %", "verdict")


def extension_table(result: "ExtensionResult") -> Group:
    """The renderable of an extension: every branch at its best gain, and the rule below."""
    subject = f"{result.model.name} \N{MIDDLE DOT} {result.behavior.name}: {result.lines()[0]}"
    notes = extension_notes(result)
    return Group(Text(subject, "dim"), "", extension_sheet(result).rich(), *map(Text, notes))


def extension_sheet(result: "ExtensionResult") -> Sheet:
    """Every extended branch at its best gain; strong where more prompts changed its verdict."""
    rows = [_row(branch) for branch in result.branches]
    strong = frozenset(i for i, b in enumerate(result.branches) if b.verdict != b.verdict_before)
    return Sheet(COLUMNS, rows, numbers=COLUMNS[1:6], whole=COLUMNS, strong=strong)


def extension_notes(result: "ExtensionResult") -> list[str]:
    """The new prompts undosed, the rule of two looks, and what was not measured again."""
    undosed = result.prompts
    notes = [
        f"new prompts, undosed: {undosed.shown} of {undosed.n} show the behavior,"
        f" {undosed.leaking} flip and are left out",
        f"rule: {result.rule}",
        f"not measured again: {result.not_measured}",
    ]
    if not result.same_code:
        notes.append("other code than the run's rolled these out: compare with care")
    return notes


def _row(branch: "ExtendedBranch") -> tuple[str, ...]:
    """One branch: its gain, what flipped in both looks, rate, interval, verdict after."""
    return (
        branch.branch,
        f"{branch.gain:g}",
        f"{branch.run.flipped}/{branch.run.n}",
        f"{branch.more.flipped}/{branch.more.n}",
        rate(branch.rate),
        f"{100 * branch.low:.0f}\N{EN DASH}{rate(branch.high)}",
        branch.verdict,
    )
