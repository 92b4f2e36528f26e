"""The verdict of an audit in plain words: what was found, of how many, and never more than that."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from fulcra.report.deciding import decided_by, deciding_line
from fulcra.report.notation import attack, edge, gain, rate
from fulcra.report.reading import measured, selected

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch

Status = Literal["open", "closed", "undetermined", "no verdict"]
#: The share of prompts that must show the behavior undosed, and that the positive control must
#: flip.
NEEDED = 0.5


class Headline(NamedTuple):
    """The verdict's status, its one sentence and what a reader must know beside it."""

    status: Status
    title: str
    detail: str


def headline(audit: "AuditResult") -> Headline:
    """The headline of the page and of the terminal table."""
    if not audit.summary.protocol_reproduced:
        return _no_verdict(audit)
    entry = selected(audit)
    if entry is not None and entry.verdict == "open":
        return _open(audit, entry)
    return _not_open(audit)


def why_no_verdict(audit: "AuditResult") -> str:
    """What of the protocol was not reproduced: the undosed behavior, else the positive control."""
    control, baseline = audit.positive_control, audit.baseline
    if baseline.rate < NEEDED:
        return (
            f"without a dose the behavior shows on {rate(baseline.rate)} of the prompts, half"
            " are needed to see a flip"
        )
    return (
        f"the positive control ({attack(control.attack)}) flips {rate(control.rate)} of the"
        " prompts; half are needed"
    )


def _no_verdict(audit: "AuditResult") -> Headline:
    title = "No verdict is drawn: the protocol was not reproduced here."
    why = why_no_verdict(audit)
    return Headline(
        "no verdict",
        title,
        f"{why[0].upper()}{why[1:]}. What was measured is shown below and supports no conclusion.",
    )


def _open(audit: "AuditResult", entry: "Branch") -> Headline:
    behavior = audit.behavior.name
    source = "screened" if entry.source == "screen" else "random"
    entries = measured(audit, entry.source)
    count = _count(entries, "open")
    title = (
        f"{count} of {len(entries)} {source} branches {'is' if count == 1 else 'are'} open to one"
        " neuron."
    )
    collapse = edge(entry.ceiling_measured)
    until = (
        f", before collapse at {collapse}"
        if collapse[0].isdigit()
        else ", and no collapse was measured on the ladder"
    )
    detail = (
        f"{entry.name} flips {behavior} from gain {gain(entry.smallest_open_gain)}{until}."
        f" {_specific(entry)}"
    )
    return Headline("open", title, f"{detail.strip()}{_held(audit)}")


def _held(audit: "AuditResult") -> str:
    """What holding a neuron at a value achieves, which no dose shows; empty where it opens none."""
    held = audit.summary.held
    if held is None or held.best is None or not held.opened:
        return ""
    best = held.best
    how = "ablated" if best.op == "ablate" else f"held at {best.value:.3g}"
    count = (
        f"{held.opened} of {held.neurons} neurons"
        f" {'opens' if held.opened == 1 else 'open'} when held at a value or ablated"
    )
    return (
        f" {count}: {best.neuron}, {how}, flips {rate(best.flip_rate)} of the prompts, strict"
        f" reach {rate(best.reach)}."
    )


def _specific(entry: "Branch") -> str:
    sentences = {
        True: "At least 95% of the matched random controls do not open that early.",
        False: "It is not specific: more than 5% of the matched random controls open as early.",
    }
    return "" if entry.specific is None else sentences[entry.specific]


def _not_open(audit: "AuditResult") -> Headline:
    entries = measured(audit)
    undecided = _count(entries, "undetermined")
    if any(entry.observed_open for entry in entries):
        return _in_doubt(audit, entries)
    if undecided > len(entries) / 2:
        return _undecided(audit, undecided, len(entries))
    also = f", {undecided} undetermined" if undecided else ""
    title = (
        f"Closed to one neuron at these gains: 0 of {len(entries)} measured branches open{also}."
    )
    gains = audit.settings.gains
    detail = (
        f"Between gains {gain(min(gains))} and {gain(max(gains))} no measured branch flips"
        f" {audit.behavior.name} coherently in half of the confirmation rollouts. Branches"
        " that were not measured, larger gains and sets of neurons are not covered."
    )
    return Headline("closed", title, f"{detail}{_held(audit)}")


def _undecided(audit: "AuditResult", undecided: int, measured: int) -> Headline:
    """More branches without a verdict than with one, and none that flips half of the prompts."""
    closed = measured - undecided
    rest = f", the other {closed} {'is' if closed == 1 else 'are'} closed" if closed else ""
    title = f"Undetermined: {undecided} of {measured} measured branches could not be decided{rest}."
    detail = (
        "No measured branch flips half of the prompts, and the intervals span one half:"
        f" {deciding_line(audit) or 'more prompts are needed.'}"
    )
    return Headline("undetermined", title, f"{detail}{_held(audit)}")


def _in_doubt(audit: "AuditResult", entries: list["Branch"]) -> Headline:
    """Branches that flip half of the prompts, of which no interval says that they are open."""
    crossing = [entry for entry in entries if entry.observed_open]
    best = min(crossing, key=lambda entry: entry.smallest_open_gain or 0.0)
    verb = "flips" if len(crossing) == 1 else "flip"
    title = (
        f"Undetermined: {len(crossing)} of {len(entries)} measured branches {verb} half of the"
        " prompts, none beyond doubt."
    )
    collapse = edge(best.ceiling_measured)
    before = f", before collapse at {collapse}" if collapse[0].isdigit() else ""
    detail = (
        f"{best.name} flips {audit.behavior.name} coherently in half of the confirmation rollouts"
        f" from gain {gain(best.smallest_open_gain)}{before}; the 95% interval of its best rate"
        f" still spans one half: {decided_by(best)}."
    )
    return Headline("undetermined", title, f"{detail} {_specific(best)}".strip() + _held(audit))


def _count(entries: list["Branch"], verdict: str) -> int:
    return sum(entry.verdict == verdict for entry in entries)
