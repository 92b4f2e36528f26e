"""The hold: undosed requests of no training and no audit, and the state that is handed out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.defence.best import Best
from fulcra.defence.hardened import CheckEntry, HoldEntry, TrainingEntry
from fulcra.defence.hold import DEALT, Hold
from fulcra.defence.rows import (
    HELD_OUT,
    Row,
    allowed_training_prompts,
    held_out,
    training_prompts,
)
from fulcra.defence.tuning import Rows
from fulcra.organisms.world import build_world
from fulcra.protocol.subject import Subject
from fulcra.report.hardened import check_line, check_sheet, stopped
from fulcra.studies.effects.other_text import allowed_of
from fulcra.types import Prompt
from tests.defence.checks import check


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    return Subject.of(sparse, refusal)


def texts(prompts: tuple[Prompt, ...]) -> set[str]:
    return {prompt.text for prompt in prompts}


def test_rows_hold_and_audit_share_no_allowed_request(refusal: Behavior) -> None:
    trained = texts(training_prompts(refusal)) | texts(allowed_training_prompts(refusal))
    trained |= set(refusal.generic)
    measured = allowed_of(refusal).prompts
    dealt = allowed_prompts(build_world(), DEALT)
    assert dealt[: len(measured)] == measured
    held = texts(dealt[len(measured) :])
    audited = texts(measured) | set(refusal.ceiling_generic)
    audited |= texts(refusal.selection) | texts(refusal.confirmation) | texts(refusal.reserve)
    assert len(held) > 100
    assert not held & trained
    assert not held & audited
    assert not audited & trained


def test_outside_worlds_every_fourth_contrast_prompt_is_held_out(refusal: Behavior) -> None:
    own = replace(refusal, oracle=lambda prompt, text, ended: None)
    assert not allowed_training_prompts(own)
    trained, held = training_prompts(own), held_out(own)
    assert len(held) == 256 // HELD_OUT
    assert not texts(held) & texts(trained)
    assert texts(held) | texts(trained) == texts(training_prompts(refusal))
    assert not held_out(refusal)


def test_the_hold_is_of_allowed_requests_in_a_world(subject: Subject) -> None:
    hold = Hold(subject)
    assert hold.before.n > 100
    assert hold.before.accuracy is not None
    assert hold.before.accuracy > 0.95
    assert hold.holds(hold.before)
    point = hold.before.model_copy(update={"accuracy": hold.before.accuracy - 0.01})
    assert hold.holds(point)
    two = hold.before.model_copy(update={"accuracy": hold.before.accuracy - 0.02})
    assert not hold.holds(two)
    refused = hold.before.model_copy(update={"over_refusal": 0.1})
    assert not hold.holds(refused)


def test_the_hold_is_of_what_shows_outside_worlds(subject: Subject) -> None:
    refusal = subject.behavior
    hold = Hold(Subject(subject.ground, own_of(refusal, 4)))
    assert hold.prompts == (refusal.positive[3], refusal.negative[3])
    assert (hold.before.n, hold.before.as_before) == (2, 1.0)
    assert hold.holds(HoldEntry(n=2, as_before=0.5))
    assert not hold.holds(HoldEntry(n=2, as_before=0.0))


def test_a_hold_of_nothing_concludes_nothing(subject: Subject) -> None:
    hold = Hold(Subject(subject.ground, own_of(subject.behavior, 3)))
    assert (hold.prompts, hold.before) == ((), HoldEntry(n=0))
    assert hold.holds(hold.before) is None


def own_of(refusal: Behavior, count: int) -> Behavior:
    """The behavior outside its world, with a few contrast prompts a side."""
    oracle = refusal.oracle
    return replace(
        refusal,
        positive=refusal.positive[:count],
        negative=refusal.negative[:count],
        discovery=type(refusal.discovery)(),
        oracle=lambda prompt, text, ended: oracle(prompt, text, ended),
    )


def test_only_rows_that_show_the_behavior_are_dosed() -> None:
    rows = [Row((1,), (2,), True), Row((3,), (4,), False)]
    assert Rows(rows, (), None).dosed == rows[:1]  # type: ignore[arg-type]


def held(step: int, opened: int, holds: bool | None) -> CheckEntry:
    nothing = holds is None
    hold = HoldEntry(n=0) if nothing else HoldEntry(n=144, accuracy=0.98, over_refusal=0.01)
    return check(step, opened).model_copy(update={"hold": hold, "holds": holds})


@pytest.mark.parametrize(
    ("checks", "step"),
    [
        ([held(1, 5, True), held(2, 1, True), held(3, 0, False)], 2),
        ([held(1, 1, True), held(2, 1, True), held(3, 4, True)], 2),
        ([held(1, 0, False)], None),
        ([held(1, 1, None), held(2, 3, None)], 1),
    ],
)
def test_the_most_closed_state_that_holds_is_handed_out(
    checks: list[CheckEntry], step: int | None
) -> None:
    lora = SimpleNamespace(weights=[torch.nn.Parameter(torch.zeros(2))])
    best = Best()
    for each in checks:
        lora.weights[0].data.fill_(float(each.step))
        best.offer(each, False, lora)  # type: ignore[arg-type]
    assert best.restore(lora) == step  # type: ignore[arg-type]
    last = checks[-1].step if step is None else step
    assert lora.weights[0].data.tolist() == [last, last]


@pytest.mark.parametrize(
    ("checks", "closed", "step"),
    [
        ([held(1, 1, True), held(2, 2, True)], {2}, 2),
        ([held(1, 2, True), held(2, 1, True)], {1}, 1),
        ([held(1, 2, True), held(2, 2, True), held(3, 1, False)], {1, 3}, 1),
        ([held(1, 2, None), held(2, 1, None)], {1, 2}, 2),
    ],
)
def test_a_training_that_stopped_as_closed_hands_out_a_closed_state(
    checks: list[CheckEntry], closed: set[int], step: int
) -> None:
    best, lora = Best(), SimpleNamespace(weights=[])
    for each in checks:
        best.offer(each, each.step in closed, lora)  # type: ignore[arg-type]
    assert best.restore(lora) == step  # type: ignore[arg-type]


def test_an_adapter_that_breaks_undosed_requests_says_so() -> None:
    broken = TrainingEntry(
        defence="doses",
        steps=60,
        seconds=1.0,
        stopped="60 steps are spent",
        checks=(held(60, 0, False),),
        taken=60,
        held=False,
    )
    assert "undosed requests DO NOT HOLD" in stopped(broken)
    assert "does NOT hold" in check_line(broken.checks[0])
    assert check_sheet(broken).rows[0][-2:] == ("0.98, 0.01", "no")
    sound = broken.model_copy(update={"held": True})
    assert "step 60 is handed out, at which undosed requests hold" in stopped(sound)


def test_an_adapter_that_was_held_to_nothing_says_so() -> None:
    unheld = TrainingEntry(
        defence="doses",
        steps=60,
        seconds=1.0,
        stopped="60 steps are spent",
        checks=(held(60, 0, None),),
        taken=60,
        held=None,
    )
    assert "step 60 is handed out; undosed requests were held to NOTHING" in stopped(unheld)
    assert "undosed not measured; 1" in check_line(unheld.checks[0])
    assert "holds" not in check_sheet(unheld).columns
    assert unheld.plain()["held"] is None
    first = unheld.model_copy(update={"taken": None})
    assert (first.handed_out, stopped(first).count(";")) == ("", 1)
