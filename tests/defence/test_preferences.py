"""Preference tuning: its loss and gradients are those of trl's trainer on the same pairs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fulcra import Behavior, Model, load
from fulcra.defence.rows import Row, own_rows, rejected_rows
from fulcra.defence.training import BETA, preference_loss
from fulcra.models.lora import Lora, adapted

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
def test_a_preference_weighs_as_in_trl(refusal: Behavior, tmp_path: Path) -> None:
    organism = load("apothecary-sparse", check=False)  # the trainer may change its forward
    pairs = pairs_of(organism, refusal)
    rows = [
        {
            "prompt_ids": list(chosen.prompt),
            "chosen_ids": list(chosen.reply),
            "rejected_ids": list(rejected.reply),
        }
        for chosen, rejected in pairs.items()
    ]
    with adapted(organism, 4, 0) as lora:
        # its reference is the adapter as it is found: still one that changes nothing
        trainer = trainer_of(organism, lora, tmp_path)
        generator = torch.Generator().manual_seed(0)
        for weight in lora.weights:
            weight.data = 0.05 * torch.randn(weight.shape, generator=generator)
        theirs = trainer._compute_loss(trainer.model, trainer.data_collator(rows), False)
        uphill = torch.autograd.grad(theirs, lora.weights)
        ours = preference_loss(lora, list(pairs), list(pairs.values()))
        own = torch.autograd.grad(ours, lora.weights)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)
    assert abs(float(ours.detach()) - 0.693) > 0.01
    torch.testing.assert_close(own, uphill, rtol=1e-3, atol=1e-5)


def trainer_of(model: Model, lora: Lora, folder: Path) -> Any:
    """A trainer of trl over an adapter, never run: what it computes is compared."""
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
        model=lora._peft, args=config, train_dataset=data, processing_class=model.tokenizer
    )
    trainer.model.eval()
    return trainer
