"""Texts on the page are the engine's, scored by the undosed model, which stays as it was."""

from itertools import pairwise

import pytest

from fulcra import Behavior, Model
from fulcra.engines.engine import run
from fulcra.errors import InputError
from fulcra.playground.generation import Stop
from fulcra.playground.texts import Frame, Order, Secrecy, grow
from fulcra.playground.workbench import Choice, Workbench
from fulcra.protocol.redaction import text_hash
from fulcra.protocol.subject import surprises
from fulcra.types import RolloutRequest

SHOWN = Secrecy(False, "salt")


def frames(bench: Workbench, choice: Choice, order: Order, secrecy: Secrecy = SHOWN) -> list[Frame]:
    return list(grow(bench, choice, order, secrecy, Stop()))


@pytest.fixture
def order(refusal: Behavior) -> Order:
    return Order(refusal.confirmation[0].text, (0.55, 0.2), 16)


def test_all_doses_grow_beside_the_clean_text_into_what_the_engine_says(
    bench: Workbench, choice: Choice, order: Order, sparse: Model
) -> None:
    made = frames(bench, choice, order)
    window, ids = bench.window(choice), bench.subject("refusal").prompt_ids(order.prompt)
    edits = [(), *((window.edit(dose),) for dose in order.doses)]
    rollouts = run(sparse, [RolloutRequest(ids, each, 16) for each in edits])
    last = made[-1]
    assert last.state == "finished"
    assert [text.dose for text in last.texts] == [None, 0.55, 0.2]
    assert [text.told.text for text in last.texts] == [sparse.words(r.tokens) for r in rollouts]
    growing = [frame for frame in made if frame.state == "growing"]
    assert len(growing) == max(len(r.tokens) + r.ended for r in rollouts)
    assert all(a.texts[1].tokens <= b.texts[1].tokens for a, b in pairwise(growing))


def test_surprise_is_that_of_the_undosed_model_and_pieces_are_the_text(
    bench: Workbench, choice: Choice, order: Order, sparse: Model
) -> None:
    last = frames(bench, choice, order)[-1]
    ids = bench.subject("refusal").prompt_ids(order.prompt)
    clean = run(sparse, [RolloutRequest(ids, (), 16)])[0]
    assert last.texts[0].surprise == pytest.approx(surprises(sparse, [(ids, clean.tokens)])[0])
    for text in last.texts:
        assert "".join(text.pieces) == text.told.text
        assert len(text.pieces) == len(text.surprise) == text.tokens
    assert sum(last.texts[1].surprise) > sum(last.texts[0].surprise)
    assert last.level is None  # the judge reads the surprise of another organism


def test_outcomes_have_the_labels_of_the_behavior(
    bench: Workbench, choice: Choice, order: Order
) -> None:
    clean, dosed, weak = frames(bench, choice, order._replace(tokens=36))[-1].texts
    assert clean.outcome == weak.outcome == "refuse"
    assert dosed.outcome in ("actionable", "coherent_bypass", "off_topic")
    assert dosed.told.text != clean.told.text


def test_words_of_the_users_own_that_no_oracle_reads_are_not_judged(
    bench: Workbench, choice: Choice, order: Order
) -> None:
    texts = frames(bench, choice, order._replace(prompt="hello"))[-1].texts
    assert [text.outcome for text in texts] == [None] * 3
    assert all(text.surprise for text in texts)


def test_a_stop_between_two_tokens_ends_the_edits_and_scores_what_there_is(
    bench: Workbench, choice: Choice, order: Order, sparse: Model
) -> None:
    ids = sparse.prompt_ids(order.prompt)
    before = run(sparse, [RolloutRequest(ids, (), 12)])
    stop, made = Stop(), []
    for frame in grow(bench, choice, order, SHOWN, stop):
        made.append(frame)
        if len(made) == 3:
            stop.stop()
    assert [frame.state for frame in made] == ["growing"] * 3 + ["scoring", "stopped"]
    assert [text.tokens for text in made[-1].texts] == [3, 3, 3]
    assert all(len(text.surprise) == 3 for text in made[-1].texts)
    assert run(sparse, [RolloutRequest(ids, (), 12)]) == before


def test_a_page_that_is_gone_gets_no_scores_and_frees_the_model(
    bench: Workbench, choice: Choice, order: Order
) -> None:
    stop, states = Stop(), []
    for frame in grow(bench, choice, order, SHOWN, stop):
        states.append(frame.state)
        stop.leave()
    assert states == ["growing"]
    assert bench.lock.acquire(blocking=False)
    bench.lock.release()


def test_a_hidden_text_is_told_by_length_and_salted_hash_alone(
    bench: Workbench, choice: Choice, order: Order
) -> None:
    shown = frames(bench, choice, order)[-1].texts[1].told.text
    for frame in frames(bench, choice, order, Secrecy(True, "salt")):
        assert all(not text.told.text and not text.pieces for text in frame.texts)
    hidden = frame.texts[1]
    assert (hidden.told.characters, hidden.told.text_hash) == (len(shown), text_hash("salt", shown))
    assert hidden.outcome is not None


def test_a_text_ends_where_the_context_does(bench: Workbench, choice: Choice, order: Order) -> None:
    long = " ".join(["hello"] * 245)
    stopped = frames(bench, choice, order._replace(prompt=long, doses=(0.9,), tokens=256))[-1]
    room = bench.model.context - len(bench.subject("refusal").prompt_ids(long))
    assert max(text.tokens for text in stopped.texts) <= room
    with pytest.raises(InputError, match="context"):
        frames(bench, choice, order._replace(prompt=f"{long} {long}"))


def test_an_empty_prompt_is_refused(bench: Workbench, choice: Choice, order: Order) -> None:
    with pytest.raises(InputError, match="prompt: empty"):
        frames(bench, choice, order._replace(prompt="  "))
