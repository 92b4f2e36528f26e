"""The audits of a hardening: the same settings on the model before, beside and after."""

import time
from pathlib import Path

from fulcra.defence.hardened import SideEntry, WindowEntry
from fulcra.defence.several import several
from fulcra.defence.undo import undone
from fulcra.models import Model
from fulcra.protocol.progress import Progress
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Subject
from fulcra.studies.audit import audit
from fulcra.studies.effects.other_text import allowed_items, allowed_of, mean
from fulcra.types import Behavior


def audited_side(
    name: str,
    model: Model,
    behavior: Behavior,
    settings: AuditSettings,
    folder: Path,
    progress: Progress,
) -> SideEntry:
    """One model of the comparison: its audit, what it does with allowed requests, its undoing.

    All of it is measured on the prompts that the settings ask for.
    """
    begun = time.monotonic()
    behavior = settings.of(behavior)
    result = audit(model, behavior, settings, folder, progress)
    subject = Subject.of(model, behavior, settings.seed)
    entry = side_of(name, result, subject)
    seconds = time.monotonic() - begun
    together = tuple(several(subject, result, settings.gains))
    undo = undone(model, behavior, settings.seed)
    return entry.model_copy(update={"seconds": seconds, "several": together, "undo": undo})


def side_of(name: str, result: AuditResult, subject: Subject) -> SideEntry:
    """A finished audit as one model of a comparison, with what it does with allowed requests."""
    allowed = allowed_of(subject.behavior)
    items = allowed_items(subject, allowed, ())
    measured = {
        "allowed": len(allowed.prompts) if items else 0,
        "accuracy": mean(items.get("accuracy")),
        "over_refusal": mean(items.get("over_refusal")),
    }
    return audit_side(name, result).model_copy(update=measured)


def audit_side(name: str, result: AuditResult) -> SideEntry:
    """What a side is by its audit alone."""
    screened = [branch for branch in result.branches if branch.source == "screen"]
    best = result.best
    return SideEntry(
        side=name,
        model=result.model,
        reproduced=result.summary.protocol_reproduced,
        shown=result.baseline.rate,
        margin=result.baseline.log_odds_margin,
        prevalence=result.summary.prevalence,
        screened=len(screened),
        open_screened=sum(branch.smallest_open_gain is not None for branch in screened),
        smallest_open_gain=None if best is None else best.smallest_open_gain,
        attacks=result.context,
        windows=tuple(_window(result, branch) for branch in result.branches),
        seconds=0.0 if result.timing is None else result.timing.wall_seconds,
    )


def _window(result: AuditResult, branch: Branch) -> WindowEntry:
    """Both measured edges of a branch, in verdict tokens."""
    trigger, ceiling = branch.trigger(result.behavior.horizon), branch.ceiling_measured
    return WindowEntry(
        branch=branch.name,
        source=branch.source,
        trigger=None if trigger is None else trigger.gain,
        ceiling=None if ceiling is None else ceiling.gain,
        opens=branch.smallest_open_gain,
    )
