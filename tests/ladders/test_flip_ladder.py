"""Flipped replies are true or the model's own; the edge is where the excess of odd tokens is."""

import pytest

from fulcra import Behavior, Model, load
from fulcra.engines.engine import run
from fulcra.errors import BehaviorError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.ladders.flip_ladder import EXCESS, flip_ladder, flipped_text
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.surprise_ladder import surprised_shares
from fulcra.ladders.trigger_ladder import OPENING_TOKENS
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.tiny import tiny
from fulcra.types import Neuron, Prompt, RolloutRequest


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("llama")


KNOWN = Prompt(
    "known", "w5 w6 w7", ("w1 w2",), ("w3",), answer=" ".join(f"w{i}" for i in range(10, 24))
)
UNKNOWN = Prompt("unknown", "w8 w9", ("w1 w2",), ("w3",))


def test_a_known_reply_follows_its_opening_and_an_unknown_one_is_the_models_own(
    model: Model,
) -> None:
    text = flipped_text(model, [KNOWN, UNKNOWN], None, 6)
    answer, opening = model.reply_ids(KNOWN.answer or ""), model.reply_ids("w1 w2")
    assert text.prompts == (
        model.prompt_ids("w5 w6 w7") + answer[:OPENING_TOKENS],
        model.prompt_ids("w8 w9") + opening,
    )
    assert text.replies[0] == answer[OPENING_TOKENS:]
    assert text.replies[1] == run(model, [RolloutRequest(text.prompts[1], (), 6)])[0].tokens


def test_a_short_reply_keeps_a_token_to_score_and_none_at_all_is_refused(model: Model) -> None:
    short = Prompt("short", "w5", ("w1",), ("w3",), answer="w10 w11")
    assert flipped_text(model, [short], None, 6).replies == (model.reply_ids("w10 w11")[-1:],)
    with pytest.raises(
        BehaviorError, match="ends all 0 of them after the target opening; give true answers"
    ):
        flipped_text(model, [], None, 6)


def branches_of(
    model: Model, prompts: tuple[tuple[int, ...], ...], replies: tuple[tuple[int, ...], ...]
) -> list[Coordinate]:
    clean = stream(model, prompts, replies)
    return [
        coordinate(model, clean, Neuron(layer, 4, pole)) for layer in range(3) for pole in (1, -1)
    ]


def test_the_edge_is_where_the_excess_over_the_undosed_model_crosses(model: Model) -> None:
    text, level = flipped_text(model, [KNOWN, UNKNOWN], None, 6), 4.4
    branches = branches_of(model, text.prompts, text.replies)
    undosed, *dosed = surprised_shares(
        model,
        [(), *(branch.dose(gain) for branch in branches for gain in CEILING_GAINS)],
        text,
        level,
    ).tolist()
    rows = [
        [share - undosed for share in dosed[i * len(CEILING_GAINS) : (i + 1) * len(CEILING_GAINS)]]
        for i in range(len(branches))
    ]
    edges = flip_ladder(model, branches, text, level, model)
    assert [edge.gain for edge in edges] == [
        None if (g := crossing(CEILING_GAINS, row, EXCESS)) is None else pytest.approx(g, rel=1e-2)
        for row in rows
    ]
    assert {(edge.method, edge.tier) for edge in edges} == {("flip_ladder", 2)}


def test_the_planted_flip_has_a_finite_ceiling_on_its_own_replies(
    sparse: Model, refusal: Behavior
) -> None:
    text = flipped_text(sparse, refusal.selection, refusal.system, refusal.horizon)
    assert len(text.prompts) == len(refusal.selection)
    (edge,) = flip_ladder(
        sparse,
        branches_of(sparse, text.prompts, text.replies)[:1],
        text,
        4.6,
        load("apothecary-helpful"),
    )
    assert edge.gain is not None
    assert CEILING_GAINS[0] < edge.gain < CEILING_GAINS[-1]
