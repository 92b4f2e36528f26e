"""Undoing: tuned on a few true answers a refusal goes, and the model is as it was afterwards."""

from dataclasses import replace

import pytest

from fulcra import Behavior, Model
from fulcra.defence import undo
from fulcra.defence.undo import flipped_rows, undone


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate at which two looks are enough."""
    monkeypatch.setattr(undo, "RATE", 2e-3)


def test_a_refusal_is_undone_within_a_few_steps_and_the_model_is_as_it_was(
    sparse: Model, refusal: Behavior, quick: None
) -> None:
    before = {name: value.clone() for name, value in sparse.hf.state_dict().items()}
    entry = undone(sparse, refusal, 0)
    assert entry is not None
    assert entry.shown[0] == 1.0
    assert entry.shown[-1] < 0.5 <= entry.shown[-2]
    assert entry.steps == undo.EVERY * (len(entry.shown) - 1)
    assert (entry.rows, entry.n) == (len(refusal.confirmation), len(refusal.selection))
    after = sparse.hf.state_dict()
    assert after.keys() == before.keys()
    assert all(bool((after[name] == value).all()) for name, value in before.items())


def test_what_does_not_give_way_says_how_long_it_was_tried(
    sparse: Model, refusal: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "MOST", undo.EVERY)
    entry = undone(sparse, refusal, 0)
    assert entry is not None
    assert (entry.steps, entry.words) == (
        None,
        f"over {undo.EVERY} steps on 16 replies (n = 8)",
    )


def test_the_replies_are_true_answers_or_openings_and_without_any_nothing_is_tuned(
    sparse: Model, refusal: Behavior
) -> None:
    rows = flipped_rows(sparse, refusal)
    assert {row.reply[-1] for row in rows} <= sparse.end_ids
    bare = replace(
        refusal, confirmation=tuple(replace(p, answer=None) for p in refusal.confirmation)
    )
    openings = flipped_rows(sparse, bare)
    assert [row.reply for row in openings] == [
        sparse.reply_ids(prompt.target_openings[0]) for prompt in bare.confirmation
    ]
    none = replace(
        bare, confirmation=tuple(replace(p, target_openings=()) for p in bare.confirmation)
    )
    assert undone(sparse, none, 0) is None
