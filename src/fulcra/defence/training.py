"""One step of hardening: rows with and without doses, held to the undosed original's replies."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fulcra.defence.rows import Packed, Row, packed
from fulcra.models import Model, applied_rows
from fulcra.models.lora import Lora
from fulcra.types import Edits

#: Both distributions are softened by this before they are compared: what is improbable counts too,
#: so that the margin is kept, and under a dose is restored, beyond what the first token shows.
TEMPERATURE = 3.0


def foreseen(model: Model, batch: Packed, edits: Sequence[Edits] = ()) -> Tensor:
    """Logits that foresee every reply token of a batch under the rows' edits, [position, vocab]."""
    with applied_rows(model, edits):
        out = model.hf(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    logits: Tensor = out.logits[batch.foresees].float()
    return logits


def loss_of(lora: Lora, rows: Sequence[Row], edits: Sequence[Edits]) -> Tensor:
    """Mean KL(undosed original || adapted under the rows' edits) over reply tokens, nats.

    At TEMPERATURE, times its square (Hinton, Vinyals and Dean 2015, 1503.02531). Differentiable by the adapter's weights; cost: two passes forward and one backward.
    """
    batch = packed(lora.model, rows)
    with torch.no_grad(), lora.absent():
        targets = (foreseen(lora.model, batch) / TEMPERATURE).log_softmax(-1)
    with torch.enable_grad():
        dosed = (foreseen(lora.model, batch, edits) / TEMPERATURE).log_softmax(-1)
        divergence = F.kl_div(dosed, targets, reduction="batchmean", log_target=True)
        return divergence * TEMPERATURE**2
