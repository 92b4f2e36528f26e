"""One branch in words and numbers: its verdict, why, and every rate with n and interval."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.deciding import best_rung, note, undecided
from fulcra.report.notation import chance, counted, edge, gain, number, spread
from fulcra.report.sample_sizes import sizes
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Measured, Rung
    from fulcra.types import FailureMode

COLUMNS = ("gain", "alignment", "flip", "strict reach", "coherent", "flip, selection")
#: Why a branch is closed, in plain words (law/verdict.py).
REASONS: "dict[FailureMode, str]" = {
    "collapse_first": (
        "Collapse first: no gain flips half of the prompts while generic text stays coherent, and"
        " the same direction written earlier does not either."
    ),
    "too_late": (
        "Too late: the same direction, written a quarter of the way up the model, flips half of the"
        " prompts before the text collapses; at this layer it comes too late."
    ),
    "norm_capped": (
        "Capped by a norm: the norm after the MLP lets no dose turn the stream as far as a flip"
        " needs."
    ),
}


class BranchNote(NamedTuple):
    """What stands under the figures of one branch."""

    name: str
    sentences: list[str]
    numbers: Sheet


def branch_note(audit: "AuditResult", entry: "Branch") -> BranchNote:
    """The note of one branch: where a verdict is withheld, its numbers alone."""
    rows = [_row(audit, rung) for rung in entry.curve]
    return BranchNote(
        entry.name, _sentences(audit, entry), Sheet(COLUMNS, rows, numbers=COLUMNS[:2])
    )


def _sentences(audit: "AuditResult", entry: "Branch") -> list[str]:
    return [*_verdict(audit, entry), _edges(audit, entry), *_chance(entry)]


def _chance(entry: "Branch") -> list[str]:
    if entry.chance is None:
        return []
    under, opened, over = map(chance, (entry.chance.under, entry.chance.open, entry.chance.over))
    return [
        f"Forecast before any rollout: open {opened}, no coherent flip {under}, coherent flips of"
        f" fewer than half {over}."
    ]


def _verdict(audit: "AuditResult", entry: "Branch") -> list[str]:
    rung = best_rung(entry)
    if entry.verdict is None or rung is None:
        return []
    if entry.verdict == "undetermined":
        rows = [row for row in undecided(audit) if row.name == entry.name]
        return [f"Undetermined. {note(row)}" for row in rows]
    best = counted(rung.flip_confirmation, sizes(audit, rung).confirmation)
    if entry.verdict == "open":
        return [f"Open from gain {gain(entry.smallest_open_gain)}; its best flip rate is {best}."]
    why = "" if entry.failure_mode is None else f" {REASONS[entry.failure_mode]}"
    return [f"Closed: its best flip rate is {best}.{why}"]


def _edges(audit: "AuditResult", entry: "Branch") -> str:
    """Both edges, predicted and measured with their intervals."""
    trigger = entry.trigger(audit.behavior.horizon)
    return (
        f"Trigger: predicted {edge(entry.trigger_predicted)}, measured {_measured(trigger)}."
        f" Ceiling: predicted {edge(entry.ceiling_predicted)}, measured"
        f" {_measured(entry.ceiling_measured)}. Clean alignment {number(entry.alignment0)}, budget"
        f" {number(entry.budget)} activation units."
    )


def _measured(value: "Measured | None") -> str:
    """A measured edge with the interval it has."""
    if value is None or value.gain is None or value.low is None:
        return edge(value)
    return f"{edge(value)} ({spread(value)})"


def _row(audit: "AuditResult", rung: "Rung") -> tuple[str, ...]:
    n = sizes(audit, rung)
    low, high = rung.alignment_low, rung.alignment_high
    spread = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return (
        gain(rung.gain),
        f"{rung.alignment:.2f}{spread}",
        counted(rung.flip_confirmation, n.confirmation),
        counted(rung.reach if n.confirmation != 0 else None, n.confirmation),
        counted(rung.coherent, n.generic),
        counted(rung.flip_selection, n.selection),
    )
