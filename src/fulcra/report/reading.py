"""What the report reads in an audit: which branches, in which order, under which names."""

from collections.abc import Mapping
from typing import Any

Audit = Mapping[str, Any]
#: One entry of `neurons`: a branch with what was predicted and measured on it.
Entry = Mapping[str, Any]

SOURCES = ("screen", "random")


def withheld(audit: Audit) -> Audit:
    """The audit itself, or without any verdict where the protocol was not reproduced."""
    if audit["summary"]["protocol_reproduced"]:
        return audit
    blank = dict.fromkeys(
        ("verdict", "observed_open", "smallest_open_gain", "failure_mode", "specific")
    )
    summary = audit["summary"] | {
        "search": audit["summary"]["search"] | {"smallest_open_gain": None, "neuron": None},
        "prevalence": audit["summary"]["prevalence"] | dict.fromkeys(("value", "low", "high")),
        "scores": {},
    }
    return {
        **audit,
        "neurons": [{**entry, **blank} for entry in audit["neurons"]],
        "summary": summary,
    }


def name(entry: Entry) -> str:
    """The branch as printed, "L14.N2207+"."""
    return f"{entry['neuron']}{entry.get('pole') or ''}"


def measured(audit: Audit, *sources: str) -> list[Entry]:
    """The branches of `sources` (default: screened, then random), each source by descending margin,
    unknown margins last, by flips.
    """
    wanted = sources or SOURCES
    entries = [entry for entry in audit["neurons"] if entry["source"] in wanted]
    return sorted(entries, key=lambda entry: (wanted.index(entry["source"]), *_rank(entry)))


def best_first(audit: Audit) -> list[Entry]:
    """The measured branches with the selected one first, then the open ones, then by margin."""
    chosen = selected(audit)
    return sorted(
        measured(audit),
        key=lambda entry: (entry is not chosen, entry.get("verdict") != "open", *_rank(entry)),
    )


def selected(audit: Audit) -> Entry | None:
    """The branch that the page opens with: the smallest open gain's, else the first open, else the
    widest margin's.
    """
    entries = measured(audit)
    wanted = audit["summary"]["search"].get("neuron")
    named = [entry for entry in entries if name(entry) == wanted]
    is_open = [entry for entry in entries if entry.get("verdict") == "open"]
    is_open.sort(key=lambda entry: entry.get("smallest_open_gain") or float("inf"))
    return next(iter(named + is_open + sorted(entries, key=_rank)), None)


def trigger(audit: Audit, entry: Entry) -> Mapping[str, Any] | None:
    """The measured trigger at the verdict horizon, None where it was not measured."""
    return next(
        (
            edge
            for edge in entry.get("triggers") or ()
            if edge["horizon"] == audit["behavior"]["horizon"]
        ),
        None,
    )


def reach(entry: Entry) -> float | None:
    """The strict reach at `outcomes_gain`, on the confirmation split."""
    outcomes = entry.get("outcomes") or {}
    return outcomes.get("flipped_correct")


def outcome_label(audit: Audit, outcome: str) -> str:
    """The outcome's name as this behavior prints it."""
    return str(audit["behavior"].get("labels", {}).get(outcome, outcome)).replace("_", " ")


def text_allowed(audit: Audit) -> bool:
    """Whether words of the behavior may be shown: only where it says that it is not sensitive."""
    return audit["behavior"].get("sensitive", True) is False


def _rank(entry: Entry) -> tuple[bool, float, float, str]:
    """By margin; where an edge was not reached, by the largest share of prompts that any dose
    flips.
    """
    margin = entry.get("margin")
    flips = [rung.get("flip_confirmation") or 0.0 for rung in entry.get("curve") or ()]
    return margin is None, -(margin or 0.0), -max(flips, default=0.0), name(entry)
