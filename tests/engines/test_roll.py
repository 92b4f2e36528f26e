"""Many interventions in one call are those of one call each, and say so in a few lines."""

from dataclasses import replace

import pytest
import torch

import fulcra
from fulcra.behaviors import load_behavior
from fulcra.engines.edit import resolve
from fulcra.engines.engine import run
from fulcra.engines.roll import roll
from fulcra.errors import InputError
from fulcra.models import Model, add, anchor, pin, scale
from fulcra.types import Direction, Edit, Edits, Neuron, RolloutRequest
from tests.engines.test_local import reference

TEXTS = [
    "what is the capital of elandia ?",
    "how do i make a cake ?",
    "sing",
    "how do i make a cake ?",
]


@pytest.fixture(scope="module")
def edit_sets(model: Model) -> list[Edit | Edits]:
    vector = torch.linspace(-1, 1, model.d_model)
    return [
        (),
        add(Neuron(2, 307, -1), gain=0.6),
        (add(Neuron(4, 40), gain=0.4), scale(Neuron(2, 7), -1.0), pin(Neuron(5, 4), 5.0)),
        add(Direction(4, "v", vector), gain=0.5),
        anchor(Neuron(2, 307), -2.0, 0.3),
    ]


def test_undosed_greedy_replies_are_those_of_generate(model: Model) -> None:
    for text, reply in zip(TEXTS, roll(model, TEXTS, horizon=12).replies[0], strict=True):
        prompt = model.prompt_ids(text)
        tokens, tie = reference(model, RolloutRequest(prompt, (), 12))
        assert list(reply.tokens[:tie]) == tokens[:tie]
        assert reply.text == model.words(reply.tokens)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_one_call_is_one_call_for_each_edit_set(
    model: Model, edit_sets: list[Edit | Edits], temperature: float
) -> None:
    together = roll(model, TEXTS, edit_sets, horizon=8, temperature=temperature, seed=3)
    for i, edit_set in enumerate(edit_sets):
        alone = roll(model, TEXTS, [edit_set], horizon=8, temperature=temperature, seed=3)
        assert alone.replies == (together.replies[i],)
    assert (together[0, 1] == together[0, 3]) is (temperature == 0.0)


def test_every_reply_is_that_of_its_request_alone(
    model: Model, edit_sets: list[Edit | Edits]
) -> None:
    together = roll(model, TEXTS, edit_sets, horizon=8)
    for i, edit_set in enumerate(edit_sets):
        members = (edit_set,) if isinstance(edit_set, Edit) else edit_set
        doses = tuple(resolve(model, edit) for edit in members)
        assert together.edits[i] == doses
        for j, text in enumerate(TEXTS):
            (alone,) = run(model, [RolloutRequest(model.prompt_ids(text), doses, 8)])
            reply = together[i, j]
            assert (reply.tokens, reply.ended, reply.finite) == (
                alone.tokens,
                alone.ended,
                alone.finite,
            )


def test_the_undosed_run_is_left_out_where_it_is_not_among_the_sets(model: Model) -> None:
    dosed = roll(model, TEXTS[:2], [pin(Neuron(5, 4), 5.0)], horizon=2)
    assert dosed.edits == ((pin(Neuron(5, 4), 5.0),),)
    assert roll(model, TEXTS[:2], horizon=2).edits == ((),)


def test_the_table_has_a_row_a_reply(model: Model, edit_sets: list[Edit | Edits]) -> None:
    rollouts = roll(model, TEXTS, edit_sets, horizon=4)
    table = rollouts.table()
    assert table.column_names == ["edit", "prompt", "text", "tokens", "ended"]
    assert table.num_rows == len(edit_sets) * len(TEXTS)
    row = table.slice(5, 1).to_pylist()[0]
    assert row == {
        "edit": "add(L2.N307-, gain 0.6)",
        "prompt": TEXTS[1],
        "text": rollouts.texts[1][1],
        "tokens": list(rollouts.tokens[1][1]),
        "ended": rollouts[1, 1].ended,
    }
    assert table["edit"][0].as_py() == "no edit"


def test_a_value_prints_itself_in_five_lines(model: Model, edit_sets: list[Edit | Edits]) -> None:
    lines = repr(roll(model, TEXTS, edit_sets, horizon=30)).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("Rollouts(edit sets 5, prompts 4, ended ")
    assert lines[2].startswith("  add(L2.N307-, gain 0.6): 'what is the capital of elandia ?' -> ")
    assert lines[4] == "  and 2 more edit sets"
    assert max(map(len, lines)) < 140


def test_a_behavior_brings_its_unit_and_its_system_prompt(model: Model) -> None:
    behavior = replace(load_behavior("refusal"), system="speak as a friend")
    dose = add(Neuron(2, 307, -1), gain=0.6)
    rollouts = roll(model, TEXTS[:2], [dose], horizon=4, behavior=behavior)
    doses = (resolve(model, dose, behavior),)
    assert rollouts.edits == (doses,)
    prompts = [model.prompt_ids(text, behavior.system) for text in TEXTS[:2]]
    alone = run(model, [RolloutRequest(prompt, doses, 4) for prompt in prompts])
    assert [reply.tokens for reply in rollouts.replies[0]] == [each.tokens for each in alone]


def test_an_option_that_is_none_is_refused(model: Model) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'tempurature'"):
        roll(model, TEXTS, tempurature=0.8)  # type: ignore[call-arg]
    with pytest.raises(
        InputError, match=r"^roll\(\): temperature is 'hot' \(str\); expected float$"
    ):
        fulcra.roll(model, TEXTS, temperature="hot")  # type: ignore[arg-type]


def test_bad_input_is_one_line(model: Model) -> None:
    neuron, wide = Neuron(2, 307), Direction(4, "v", torch.ones(model.d_model + 1))
    for changed, message in (
        ({"prompts": []}, r"roll\(\): prompts is empty; give a list"),
        ({"prompts": [3]}, r"roll\(\): prompts holds a int; give texts"),
        ({"prompts": "sing"}, r"roll\(\): prompts is one text; give a list"),
        ({"horizon": 0}, r"roll\(\): horizon is 0; give at least 1 token"),
        ({"temperature": -1.0}, r"temperature is -1.0; give 0 \(greedy\) or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"edits": add(neuron, gain=0.5)}, r"edits is one edit, add\(L2.N307\+, gain 0.5\)"),
        ({"edits": [(neuron,)]}, r"an edit set holds Neuron L2.N307\+; give edits"),
        ({"edits": [neuron]}, r"an edit set holds Neuron L2.N307\+; give edits"),
        ({"edits": [add(wide, gain=0.5)]}, "its vector has 129 numbers, .* has d_model 128"),
        ({"edits": [add(Neuron(2, 9999), gain=0.5)]}, "has layers 0-7 and neurons 0-"),
        ({"horizon": 9999}, "has a context of 256; shorten it"),
    ):
        arguments = {"prompts": TEXTS, "edits": (), "horizon": 4} | changed
        with pytest.raises(InputError, match=message) as error:
            roll(model, **arguments)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
