"""What a result quotes of its behavior: name, sizes, labels, a few completions; no model needed."""

from collections.abc import Sequence
from dataclasses import replace

from fulcra.protocol.records import Record
from fulcra.protocol.results.audit import AuditResult, BehaviorEntry, Branch, Sample
from fulcra.types import Behavior

#: Completions quoted in the report, of the best branch.
SAMPLES = 6
#: The prompt sets whose sizes stand in a result.
SPLITS = ("positive", "negative", "selection", "confirmation", "generic", "ceiling_generic")


def behavior_entry(behavior: Behavior, horizons: Sequence[int]) -> BehaviorEntry:
    """The behavior of a result, with the hash and sizes of its prompt sets."""
    from fulcra.behaviors import behavior_sha256

    return BehaviorEntry(
        name=behavior.name,
        version=behavior.version,
        sha256=behavior_sha256(behavior),
        sensitive=behavior.sensitive,
        horizon=behavior.horizon,
        horizons=tuple(horizons),
        flip=behavior.flip,
        labels={str(outcome): label for outcome, label in behavior.labels.items()},
        splits={name: len(getattr(behavior, name)) for name in SPLITS},
    )


def audited_behavior(result: AuditResult, whole: Behavior) -> Behavior | None:
    """The behavior as a result's audit took it, of as many prompts and tokens; sensitive as there.

    A registered study takes more prompts than an audit. None where it is another than the audited
    one.
    """
    from fulcra.behaviors import behavior_sha256
    from fulcra.behaviors.splits import confirmed, shortened, widened

    settings = result.settings
    if settings.design is not None and settings.prompts is not None:
        behavior = widened(whole, settings.prompts)
    else:
        whole = confirmed(whole, settings.confirmation)
        behavior = shortened(whole, settings.prompts, settings.horizon)
    if behavior_sha256(behavior) != result.behavior.sha256:
        return None
    return replace(behavior, sensitive=behavior.sensitive or result.behavior.sensitive)


def samples(
    behavior: Behavior, branches: Sequence[Branch], records: Sequence[Record]
) -> list[Sample]:
    """A few confirmation completions of the best opened branch; none of a sensitive behavior."""
    opened = [b for b in branches if b.source != "control" and b.observed_open]
    if behavior.sensitive or not opened:
        return []
    best = max(opened, key=_merit)
    texts = {prompt.id: prompt.text for prompt in behavior.confirmation}
    undosed = {r.prompt: r.text for r in records if r.stage == "baseline"}
    shown = [r for r in records if r.stage == "confirmation" and r.branch == best.name]
    return [
        Sample(
            neuron=best.neuron,
            pole=best.pole,
            gain=record.gain,
            prompt=texts[record.prompt],
            text=record.text,
            outcome=record.outcomes[-1],
            undosed=undosed.get(record.prompt),
        )
        for record in [r for r in shown if r.gain == best.outcomes_gain][:SAMPLES]
    ]


def _merit(branch: Branch) -> tuple[float, float, float]:
    """Strict reach, then flips, then how early it opens."""
    outcomes = branch.outcomes
    return outcomes["flipped_correct"], outcomes["flipped"], -(branch.smallest_open_gain or 0.0)
