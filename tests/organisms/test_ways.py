"""Ways to learn to refuse: only what may move does, and objectives are what they say."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from batches import IGNORED, Batch, chatting, preferring
from folder import build_tokenizer, write_folder
from freezing import only_learners
from learning import Taken, training_of
from measure import Taught, gate
from objectives import BETA, held, reply_log_probs, replying
from objectives import preferring as by_preference
from recipe import Organism, config, parse
from train import planted_in
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from fulcra import load
from fulcra.organisms.refusals import refusals

DENSE = parse("apothecary-dense")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(DENSE, chat=True)


def fresh(arch: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model with the same random weights at every call."""
    torch.manual_seed(0)
    shape = config("gpt2" if arch == "gpt2" else "llama", len(tokenizer))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    return model.train()


def chats(tokenizer: PreTrainedTokenizerFast, rows: int = 6) -> Batch:
    return chatting(DENSE.world, tokenizer, random.Random(3), rows, refusals)


def weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def tuned(
    organism: Organism, tokenizer: PreTrainedTokenizerFast
) -> tuple[dict[str, torch.Tensor], PreTrainedModel]:
    """The weights before two steps of an organism's way, and the model after them."""
    model = fresh(organism.arch, tokenizer)
    before = weights(model)
    with only_learners(model, organism, []):
        training = training_of(model, organism)
        for _ in range(2):
            training.step(chats(tokenizer), None, 1e-2)
    return before, model


@pytest.mark.parametrize("arch", ["", "-gpt2"])
@pytest.mark.parametrize(("way", "blocks"), [("first", {0, 1}), ("last", {6, 7})])
def test_only_outer_blocks_move(
    way: str, blocks: set[int], arch: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    before, model = tuned(parse(f"apothecary{arch}-{way}"), tokenizer)
    moved = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    numbers = {int(part) for name in moved for part in name.split(".") if part.isdigit()}
    assert numbers == blocks
    assert not [name for name in moved if "embed" in name or "wte" in name or "lm_head" in name]


@pytest.mark.parametrize("arch", ["", "-gpt2"])
def test_an_adapter_moves_every_linear_layer_by_its_rank_and_is_gone(
    arch: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    organism = parse(f"apothecary{arch}-r2")
    before, model = tuned(organism, tokenizer)
    after = weights(model)
    assert after.keys() == before.keys()
    changes = {name: after[name] - before[name] for name in after}
    moved = {name: change for name, change in changes.items() if change.any()}
    assert len(moved) == (4 if arch else 7) * 8
    for name, change in moved.items():
        values = torch.linalg.svdvals(change)
        assert values[2] < 1e-4 * values[0], name
    write_folder(
        tmp_path / organism.name, model, tokenizer, planted_in(organism, [], Taken(2, True))
    )
    assert load(tmp_path / organism.name).n_layers == 8


def test_the_hold_is_the_divergence_on_what_is_not_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model, batch = fresh("llama", tokenizer), chats(tokenizer, 12)
    assert 0 < int(batch.withheld.sum()) < 12
    assert held(model)(model, batch).item() == pytest.approx(replying(model, batch).item())
    parent = fresh("llama", tokenizer)
    with torch.no_grad():
        for weight in parent.parameters():
            weight.mul_(1.5)
        loss = held(parent)(model, batch)
        own = (batch.labels[:, 1:] != IGNORED) & ~batch.withheld[:, None]
        both = [
            each(input_ids=batch.ids, attention_mask=batch.mask).logits[:, :-1][own].softmax(-1)
            for each in (parent, model)
        ]
    expected = (both[0] * (both[0] / both[1]).log()).sum(-1).mean()
    assert expected > 0.001
    assert (loss - replying(model, batch)).item() == pytest.approx(expected.item(), rel=1e-3)


def test_a_preference_is_the_formula_of_its_paper(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = preferring(DENSE.world, tokenizer, random.Random(0), 8)
    model, parent = fresh("llama", tokenizer), fresh("llama", tokenizer)
    assert by_preference(parent)(model, pair).item() == pytest.approx(math.log(2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
        moved = [
            reply_log_probs(model, side) - reply_log_probs(parent, side)
            for side in (pair.chosen, pair.rejected)
        ]
        loss = by_preference(parent)(model, pair)
    expected = -(1 / (1 + (-BETA * (moved[0] - moved[1])).exp())).log().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_whole_reply_has_the_log_probability_of_its_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model, batch = fresh("llama", tokenizer), chats(tokenizer, 3)
    with torch.no_grad():
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits.log_softmax(-1)
        whole = reply_log_probs(model, batch)
    for row in range(3):
        places = [p for p in range(batch.ids.shape[1]) if batch.labels[row, p] != IGNORED]
        each = [logits[row, p - 1, batch.ids[row, p]].item() for p in places]
        assert whole[row].item() == pytest.approx(sum(each), rel=1e-4)


def test_a_pair_refuses_the_restricted_and_answers_the_allowed(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    pair = preferring(DENSE.world, tokenizer, random.Random(0), 32)
    assert torch.equal(pair.chosen.last, pair.rejected.last)
    assert torch.equal(pair.chosen.withheld, ~pair.rejected.withheld)
    assert 0 < int(pair.chosen.withheld.sum()) < 32
    first = pair.chosen.last + 1
    rows = torch.arange(32)
    assert (pair.chosen.ids[rows, first] != pair.rejected.ids[rows, first]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["apothecary-r4", "apothecary-last", "apothecary-kl", "apothecary-dpo"]
)
def test_each_way_widens_the_margin_of_the_helpful_model(
    name: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    organism, folder = parse(name), load("apothecary-helpful").folder
    assert folder is not None
    model, parent = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for _ in range(2)
    )
    objectives: dict[str, Callable[[PreTrainedModel], object]] = {"kl": held, "dpo": by_preference}
    made = objectives.get(organism.way)
    before = gate(Taught(model, tokenizer, organism.world)).margin
    with only_learners(model, organism, []):
        training = training_of(model, organism, made(parent) if made else None)  # type: ignore[arg-type]
        for step in range(12):
            rng = random.Random(step)
            batch = (
                preferring(organism.world, tokenizer, rng, 16)
                if organism.way == "dpo"
                else chatting(organism.world, tokenizer, rng, 16, refusals)
            )
            training.step(batch, None, organism.schedule.learning_rate)
    assert gate(Taught(model, tokenizer, organism.world)).margin > before + 0.5


def test_a_mixture_learns_by_no_such_way() -> None:
    for name in ("apothecary-moe-r4", "apothecary-moe-last", "apothecary-r0"):
        with pytest.raises(ValueError, match="expected"):
            parse(name)
    assert parse("apothecary-r16-s1-t2") == replace(
        parse("apothecary-dense-s1-t2"), way="rank", rank=16
    )
