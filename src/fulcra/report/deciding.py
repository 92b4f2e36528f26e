"""What an audit could decide with its prompts, and how many would decide what is undetermined."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.notation import counted, rate
from fulcra.report.power import CHANCE, LARGEST, fewest_open, prompts_to_decide, rate_resolved
from fulcra.report.reading import measured
from fulcra.report.sample_sizes import confirmed, sizes

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Rung

#: The rate of the example of a smaller effect.
SMALLER = 0.6


class Undecided(NamedTuple):
    """An undetermined branch: its best rate, and how many prompts would decide it in all.

    `prompts` is None at exactly one half, or where more than LARGEST would be needed.
    """

    name: str
    rate: float
    n: int | None
    prompts: int | None

    @property
    def needed(self) -> str:
        """The number of prompts in words."""
        if self.prompts is not None:
            return f"{self.prompts:,}"
        return "no number: exactly one half" if self.rate == 0.5 else f"over {LARGEST:,}"


def best_rung(entry: "Branch") -> "Rung | None":
    """The rung that flips most confirmation prompts, the first of equals: what a verdict reads."""
    rungs = [rung for rung in entry.curve if rung.flip_confirmation is not None]
    return max(rungs, key=lambda rung: rung.flip_confirmation or 0.0, default=None)


def decided_by(entry: "Branch") -> str:
    """What decides an undetermined branch, in words: more prompts, or not even the most."""
    rung = best_rung(entry)
    if rung is None or prompts_to_decide(rung.flip_confirmation or 0.0) is not None:
        return "more prompts decide it"
    return f"at or near one half, which {LARGEST:,} prompts do not decide"


def undecided(audit: "AuditResult") -> list[Undecided]:
    """The undetermined branches, those that the fewest prompts would decide first."""
    rows = []
    for entry in measured(audit):
        rung = best_rung(entry)
        if entry.verdict == "undetermined" and rung is not None:
            share = rung.flip_confirmation or 0.0
            n = sizes(audit, rung).confirmation
            rows.append(Undecided(entry.name, share, n, prompts_to_decide(share)))
    return sorted(rows, key=lambda row: (row.prompts or LARGEST + 1, row.name))


def deciding_line(audit: "AuditResult") -> str:
    """How many prompts would decide the undetermined branches, in a sentence; empty of none."""
    rows = undecided(audit)
    if not rows:
        return ""
    within = [row.prompts for row in rows if row.prompts is not None]
    named = f"{len(rows)} undetermined branch{'es' if len(rows) > 1 else ''}"
    if not within:
        return f"{named}: at or near one half, which {LARGEST:,} prompts do not decide."
    each = f"{within[0]:,}" if within[0] == within[-1] else f"{within[0]:,} to {within[-1]:,}"
    rest = len(rows) - len(within)
    beside = f"; {rest} at or near one half need over {LARGEST:,}" if rest else ""
    which = f"{len(within)}" if rest else "all" if len(rows) > 1 else "it"
    return (
        f"{named}: {each} prompts in all would decide {which}{beside} ({rate(CHANCE)} chance, at"
        " the observed rates)."
    )


def resolution_line(audit: "AuditResult") -> str:
    """What so many prompts can decide, and what a smaller effect would have needed."""
    n = confirmed(audit)
    if not n:
        return "How many prompts a rate rests on is not recorded."
    resolved, needed = rate_resolved(n), prompts_to_decide(SMALLER)
    if resolved is None:
        return f"{n} prompts can decide nothing: not even all of them flipping."
    return (
        f"{fewest_open(n)} of {n} prompts must flip to be called open. With {rate(CHANCE)} chance a"
        f" true rate of {rate(resolved)} or more is called open and {rate(1 - resolved)} or less"
        f" closed; {rate(SMALLER)} would need {needed} prompts."
    )


def note(entry: Undecided) -> str:
    """One undetermined branch in a sentence."""
    return (
        f"Its best rate is {counted(entry.rate, entry.n)}: the interval spans one half. Prompts"
        f" that would decide it: {entry.needed}."
    )
