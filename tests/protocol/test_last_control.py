"""The positive control of last resort: named where a long prefill is not the flip itself."""

from dataclasses import replace

from fulcra import Behavior, Model, load_behavior
from fulcra.protocol.attacks import LAST_CONTROL, PREFILLED, last_control
from fulcra.protocol.subject import Subject


def test_refusal_of_a_world_has_a_last_control(sparse: Model, refusal: Behavior) -> None:
    assert last_control(Subject.of(sparse, refusal)) == LAST_CONTROL == "prefill_8"
    answers = [sparse.reply_ids(prompt.answer or "") for prompt in refusal.confirmation]
    assert min(map(len, answers)) >= 2 * PREFILLED[-1]


def test_short_replies_and_behaviors_that_can_be_asked_for_have_none(
    sparse: Model, refusal: Behavior
) -> None:
    ground = Subject.of(sparse, refusal).ground
    assert last_control(Subject(ground, load_behavior("capitals"))) is None
    asked_for = tuple(replace(prompt, request=None) for prompt in refusal.positive)
    assert last_control(Subject(ground, replace(refusal, positive=asked_for))) is None
    unanswered = tuple(replace(prompt, answer=None) for prompt in refusal.confirmation)
    assert last_control(Subject(ground, replace(refusal, confirmation=unanswered))) is None
