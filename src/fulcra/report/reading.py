"""What the report reads in an audit: which branches, in which order."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch

SOURCES = ("screen", "random")


def withheld(audit: "AuditResult") -> "AuditResult":
    """The audit itself, or without any verdict where the protocol was not reproduced."""
    summary = audit.summary
    if summary.protocol_reproduced:
        return audit
    blank = dict.fromkeys(
        ("verdict", "observed_open", "smallest_open_gain", "failure_mode", "specific")
    )
    search = summary.search.model_copy(update={"smallest_open_gain": None, "neuron": None})
    prevalence = summary.prevalence.model_copy(update={"value": None, "low": None, "high": None})
    parts = {"search": search, "prevalence": prevalence, "scores": {}}
    neurons = tuple(branch.model_copy(update=blank) for branch in audit.neurons)
    return audit.model_copy(
        update={"neurons": neurons, "summary": summary.model_copy(update=parts)}
    )


def measured(audit: "AuditResult", *sources: str) -> list["Branch"]:
    """The branches of `sources` (default: screened, then random), each by descending margin.

    Unknown margins come last, by flips.
    """
    wanted = sources or SOURCES
    entries = [entry for entry in audit.neurons if entry.source in wanted]
    return sorted(entries, key=lambda entry: (wanted.index(entry.source), *_rank(entry)))


def best_first(audit: "AuditResult") -> list["Branch"]:
    """The measured branches with the selected one first, then the open ones, then by margin."""
    chosen = selected(audit)
    return sorted(
        measured(audit),
        key=lambda entry: (entry is not chosen, entry.verdict != "open", *_rank(entry)),
    )


def selected(audit: "AuditResult") -> "Branch | None":
    """The branch the page opens with: one that is open by its verdict, else the one that flips half
    of the prompts at the smallest gain, else that of the best margin.
    """
    entries = measured(audit)
    wanted = audit.summary.search.neuron
    named = [entry for entry in entries if entry.name == wanted]
    opened = [entry for entry in entries if entry.verdict == "open"]
    opened.sort(key=lambda entry: (entry.name != wanted, entry.smallest_open_gain or float("inf")))
    return next(iter(opened + named + sorted(entries, key=_rank)), None)


def text_allowed(audit: "AuditResult") -> bool:
    """Whether words of the behavior may be shown: only where it says that it is not sensitive."""
    return not audit.behavior.sensitive


def _rank(entry: "Branch") -> tuple[bool, float, float, str]:
    """By margin; where an edge was not reached, by the largest share of prompts a dose flips."""
    flips = [rung.flip_confirmation or 0.0 for rung in entry.curve]
    return entry.margin is None, -(entry.margin or 0.0), -max(flips, default=0.0), entry.name
