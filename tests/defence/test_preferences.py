"""Preference tuning: its loss and gradients are those of trl's trainer on the same pairs."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from batches import Batch, preferring
from folder import build_tokenizer
from objectives import preferring as by_preference
from recipe import parse
from transformers import AutoModelForCausalLM

from fulcra import Behavior, Model, load
from fulcra.defence.rows import Row, own_rows, rejected_rows
from fulcra.defence.training import BETA, preference_loss
from fulcra.models.lora import adapted

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")


def pairs_of(model: Model, refusal: Behavior) -> dict[Row, Row]:
    """A refusal and what it is preferred to, request by request, replies of unequal length."""
    few = replace(
        refusal,
        positive=refusal.positive[:6],
        negative=refusal.negative[:2],
        discovery=type(refusal.discovery)(),
    )
    return rejected_rows(model, few, own_rows(model, few))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_preference_of_a_hardening_weighs_as_in_trl(refusal: Behavior, tmp_path: Path) -> None:
    organism = load("apothecary-sparse", check=False)  # the trainer may change its forward
    pairs = pairs_of(organism, refusal)
    with adapted(organism, 4, 0) as lora:
        # its reference is the adapter as it is found: still one that changes nothing
        trainer = trainer_of(lora._peft, organism.tokenizer, tmp_path)
        shaken(lora.weights)
        theirs = loss_of(trainer, [examples_of(*pair) for pair in pairs.items()])
        uphill = torch.autograd.grad(theirs, lora.weights)
        ours = preference_loss(lora, list(pairs), list(pairs.values()))
        own = torch.autograd.grad(ours, lora.weights)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)
    assert abs(float(ours.detach()) - math.log(2)) > 0.01
    torch.testing.assert_close(own, uphill, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_preference_of_an_organism_weighs_as_in_trl(tmp_path: Path) -> None:
    organism, folder = parse("apothecary-dpo"), load("apothecary-helpful", check=False).folder
    tokenizer = build_tokenizer(organism, chat=True)
    pair = preferring(organism.world, tokenizer, random.Random(0), 8)
    model, parent = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval() for _ in range(2)
    )
    weights = list(model.model.layers[2].mlp.parameters())
    shaken(weights, "moved")
    ours = by_preference(parent)(model, pair)
    own = torch.autograd.grad(ours, weights)
    trainer = trainer_of(model, tokenizer, tmp_path, parent)
    theirs = loss_of(
        trainer, [examples_of(*rows) for rows in zip(*map(rows_of, pair), strict=True)]
    )
    uphill = torch.autograd.grad(theirs, weights)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)
    assert abs(float(ours.detach()) - math.log(2)) > 0.01
    torch.testing.assert_close(own, uphill, rtol=1e-3, atol=1e-5)


def rows_of(batch: Batch) -> list[Row]:
    """The rows of a batch without its padding."""
    whole = [ids[mask.bool()].tolist() for ids, mask in zip(batch.ids, batch.mask, strict=True)]
    ends = (batch.last + 1).tolist()
    return [
        Row(tuple(ids[:end]), tuple(ids[end:]), True) for ids, end in zip(whole, ends, strict=True)
    ]


def shaken(weights: Sequence[torch.nn.Parameter], how: str = "drawn") -> None:
    """Weights drawn at random, or moved by so much."""
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        noise = 0.05 * torch.randn(weight.shape, generator=generator)
        weight.data = noise if how == "drawn" else weight.data + noise


def examples_of(chosen: Row, rejected: Row) -> dict[str, list[int]]:
    """A pair as the trainer's collator takes it."""
    assert chosen.prompt == rejected.prompt
    return {
        "prompt_ids": list(chosen.prompt),
        "chosen_ids": list(chosen.reply),
        "rejected_ids": list(rejected.reply),
    }


def loss_of(trainer: Any, examples: list[dict[str, list[int]]]) -> torch.Tensor:
    """What trl's trainer would lower on some pairs."""
    loss: torch.Tensor = trainer._compute_loss(
        trainer.model, trainer.data_collator(examples), False
    )
    return loss


def trainer_of(model: Any, tokenizer: Any, folder: Path, reference: Any = None) -> Any:
    """A trainer of trl, never run: what it computes is compared."""
    trl = pytest.importorskip("trl", reason="needs trl: pip install 'fulcra[dev]'")
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install 'fulcra[sets]'")
    config = trl.DPOConfig(
        output_dir=str(folder),
        beta=BETA,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
    )
    data = datasets.Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    trainer = trl.DPOTrainer(
        model=model,
        ref_model=reference,
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
    )
    trainer.model.eval()
    return trainer
