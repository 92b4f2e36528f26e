"""`fulcra.edit` in a user's own generate, pipeline and training loop."""

from dataclasses import replace

import pytest
import torch
from transformers import pipeline

import fulcra
from fulcra.engines.edit import resolve
from fulcra.engines.engine import run
from fulcra.models import Model
from fulcra.models.tiny import tiny
from fulcra.protocol.subject import Subject
from fulcra.types import Behavior, Direction, Edit, Neuron, RolloutRequest


def edits(model: Model) -> list[Edit]:
    vector = torch.linspace(-1, 1, model.d_model)
    return [
        fulcra.add(Neuron(2, 307, -1), gain=0.6),
        fulcra.scale(Neuron(2, 307), 0.0),
        fulcra.pin(Neuron(3, 215), -2.0),
        fulcra.anchor(Neuron(2, 307), -2.0, gap=0.3),
        fulcra.add(Direction(4, "v", vector), gain=0.4),
        fulcra.add_mlp(Direction(3, "u", vector), 0.5),
        fulcra.ablate_direction(Direction(6, "w", vector)),
    ]


def hooks(model: Model) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.hf.modules())


@pytest.mark.parametrize("place", range(7))
def test_a_batch_in_your_own_generate_says_what_the_engine_says(
    sparse: Model, refusal: Behavior, place: int
) -> None:
    edit = edits(sparse)[place]
    prompts = [sparse.prompt_ids(prompt.text) for prompt in refusal.confirmation[:4]]
    width = max(map(len, prompts))
    ids = torch.tensor([(0,) * (width - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    with fulcra.edit(sparse, edit) as applied:
        rows = sparse.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=12, do_sample=False
        )[:, width:]
    assert applied.passes > 0
    assert hooks(sparse) == 0
    expected = run(
        sparse, [RolloutRequest(prompt, (resolve(sparse, edit),), 12) for prompt in prompts]
    )
    for row, rollout in zip(rows.tolist(), expected, strict=True):
        assert tuple(row[: len(rollout.tokens)]) == rollout.tokens
        assert rollout.ended == any(token in sparse.end_ids for token in row)


def test_a_pipeline_is_edited_inside_the_block_alone(sparse: Model, refusal: Behavior) -> None:
    speak = pipeline("text-generation", model=sparse.hf, tokenizer=sparse.tokenizer)
    prompt = refusal.confirmation[0]
    chat = [{"role": "user", "content": prompt.text}]

    def answer() -> str:
        reply = speak(chat, max_new_tokens=refusal.horizon, max_length=None, do_sample=False)
        return str(reply[0]["generated_text"][-1]["content"]).strip()

    clean = answer()
    with fulcra.edit(
        sparse, fulcra.scale(Neuron(2, 307), 0.0), fulcra.scale(Neuron(3, 215), 0.0)
    ) as applied:
        dosed = answer()
    assert applied.passes > 0
    assert refusal.oracle(prompt, clean, True).unchanged
    assert not refusal.oracle(prompt, dosed, True).unchanged
    assert answer() == clean


@pytest.mark.parametrize("place", range(7))
def test_a_training_loop_under_an_edit_learns_and_leaves_no_hook(place: int) -> None:
    model = tiny("llama")
    vector = torch.linspace(-1, 1, model.d_model)
    edit = [
        fulcra.add(Neuron(1, 3), alpha=2.0),
        fulcra.scale(Neuron(1, 3), 0.0),
        fulcra.pin(Neuron(1, 3), 1.5),
        fulcra.anchor(Neuron(1, 3), 2.0, gap=0.5),
        fulcra.add(Direction(1, "v", vector), alpha=1.0),
        fulcra.add_mlp(Direction(1, "u", vector), 1.0),
        fulcra.ablate_direction(Direction(1, "w", vector)),
    ][place]
    ids = torch.tensor([[5, 17, 23, 42], [9, 31, 4, 77]])
    model.hf.train()
    optimizer = torch.optim.SGD(model.hf.parameters(), lr=0.05)
    losses = []
    with fulcra.edit(model, edit) as applied:
        for _ in range(4):
            loss = model.hf(input_ids=ids, labels=ids).loss
            optimizer.zero_grad()
            loss.backward()
            below = model.blocks[0].mlp.down_proj.weight.grad
            assert below is not None
            assert bool(below.isfinite().all())
            assert bool(below.any())
            optimizer.step()
            losses.append(loss.item())
    assert applied.passes > 0
    assert losses[-1] < losses[0]
    assert hooks(model) == 0


def test_a_gain_is_a_budget_on_the_text_of_the_behavior(sparse: Model, refusal: Behavior) -> None:
    neuron, dose = Neuron(1, 83, -1), fulcra.add(Neuron(1, 83, -1), gain=0.5)
    under = replace(refusal, system="speak as a friend")
    budgets = {
        name: fulcra.coordinate(sparse, neuron, behavior=each).budget
        for name, each in (("bundled", None), ("refusal", refusal), ("under", under))
    }
    assert len({round(budget, 3) for budget in budgets.values()}) == 3
    assert budgets["refusal"] == Subject.of(sparse, refusal).coordinate(neuron).budget
    assert budgets["under"] == Subject.of(sparse, under).coordinate(neuron).budget
    expected = -0.5 * budgets["under"]
    assert resolve(sparse, dose, under).value == pytest.approx(expected)
    assert fulcra.coordinate(sparse, neuron, behavior=under).dose(0.5).value == expected
    text = torch.tensor([sparse.prompt_ids("what is 3 plus 4 ?")])
    with torch.no_grad(), fulcra.edit(sparse, dose, behavior=under):
        by_gain = sparse.hf(text).logits
    with torch.no_grad(), fulcra.edit(sparse, fulcra.add(neuron, alpha=expected)):
        assert torch.equal(sparse.hf(text).logits, by_gain)


def test_an_exception_in_the_block_leaves_no_hook(sparse: Model) -> None:
    with (
        pytest.raises(RuntimeError, match="mine"),
        fulcra.edit(sparse, fulcra.scale(Neuron(2, 307), 0.0)),
    ):
        raise RuntimeError("mine")
    assert hooks(sparse) == 0
