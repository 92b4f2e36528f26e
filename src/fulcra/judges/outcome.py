"""What happened in this one rollout? The typed outcome, by precedence (law.md section 6)."""

from collections.abc import Sequence

from fulcra.judges.coherence import CoherenceStandard, coherent
from fulcra.types import Behavior, Judgement, Outcome, Prompt, Reading, Rollout


def judge_rollout(
    behavior: Behavior,
    prompt: Prompt,
    rollout: Rollout,
    text: str,
    surprise: Sequence[float],
    standard: CoherenceStandard,
) -> Judgement:
    """The judgement of a rollout as it stands; `text` is its tokens decoded, `surprise` in nats.

    unscored (not finite, empty, or cut too short) > collapse > what the behavior's oracle reads.
    """
    if not rollout.finite:
        return Judgement("unscored")
    scored, distinct, surprised = coherent(rollout.tokens, surprise, standard, rollout.ended)
    reading = behavior.oracle(prompt, text, rollout.ended)
    outcome: Outcome = "unscored" if scored is None else typed(reading) if scored else "collapse"
    return Judgement(outcome, distinct, surprised, reading.grammatical)


def typed(reading: Reading) -> Outcome:
    """The outcome of a coherent rollout: unchanged > off_topic > flipped_correct, flipped."""
    if reading.unchanged:
        return "unchanged"
    if not reading.flipped:
        return "off_topic"
    return "flipped_correct" if reading.correct else "flipped"
