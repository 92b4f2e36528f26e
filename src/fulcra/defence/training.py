"""One step of hardening: rows with and without doses, held to the undosed original."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from fulcra.defence.rows import Packed, Row, packed
from fulcra.models import Model, applied_rows
from fulcra.models.lora import Lora
from fulcra.models.stream_gradients import stream_gradients
from fulcra.models.unembedding import final_vectors
from fulcra.types import Direction, Edits

#: How strongly a preference counts against the distance from the original (arXiv 2305.18290).
BETA = 0.1


def foreseen(model: Model, batch: Packed, edits: Sequence[Edits] = ()) -> Tensor:
    """Logits that foresee every reply token of a batch under the rows' edits, [position, vocab]."""
    with applied_rows(model, edits), final_vectors(model) as vectors:
        model.hf(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    return model.logits(vectors[-1][batch.foresees]).float()


def reply_loss(model: Model, rows: Sequence[Row], edits: Sequence[Edits]) -> Tensor:
    """Mean cross-entropy of the rows' replies under their edits, nats a token; differentiable.

    Each reply is the model's own undosed one, so this is what a dose takes of it.
    """
    batch = packed(model, rows)
    with torch.enable_grad():
        logits = foreseen(model, batch, edits)
        return F.cross_entropy(logits, batch.ids[:, 1:][batch.foresees[:, :-1]])


def preference_loss(lora: Lora, chosen: Sequence[Row], rejected: Sequence[Row]) -> Tensor:
    """Direct preference optimisation: mean -log sigmoid(BETA d), nats a pair; differentiable.

    d [nats] is how far the log-odds of a chosen reply against the rejected one moved from the
    original's (arXiv 2305.18290).
    """
    with torch.no_grad(), lora.absent():
        original = _log_odds(lora.model, chosen, rejected)
    with torch.enable_grad():
        moved = _log_odds(lora.model, chosen, rejected) - original
        return -F.logsigmoid(BETA * moved).mean()


def _log_odds(model: Model, chosen: Sequence[Row], rejected: Sequence[Row]) -> Tensor:
    return _log_probs(model, chosen) - _log_probs(model, rejected)


def _log_probs(model: Model, rows: Sequence[Row]) -> Tensor:
    """The log-probability of every row's whole reply, nats, [row]."""
    batch = packed(model, rows)
    tokens = batch.ids[:, 1:][batch.foresees[:, :-1]]
    each = -F.cross_entropy(foreseen(model, batch), tokens, reduction="none")
    row = batch.foresees.nonzero()[:, 0]
    return torch.zeros(len(rows), device=each.device).index_add(0, row, each)


def ascended(lora: Lora, rows: Sequence[Row], edits: Sequence[Edits]) -> list[Edits]:
    """The vectors that are added to the rows' streams, turned to where the divergence grows.

    Each keeps its layer and its length: one step of gradient ascent on the sphere that it lies on.
    """
    added = [(edit, edit.site) for (edit,) in edits if isinstance(edit.site, Direction)]
    steepest = stream_gradients(
        lora.model,
        [site.layer for _, site in added],
        len(rows),
        lambda: divergence(lora, rows, edits),
    )
    out: list[Edits] = []
    for row, (edit, site) in enumerate(added):
        uphill = steepest[site.layer][row].detach().float().cpu()
        turned = replace(site, vector=uphill / uphill.norm() * site.vector.norm())
        out.append((replace(edit, site=turned) if uphill.any() else edit,))
    return out


def divergence(lora: Lora, rows: Sequence[Row], edits: Sequence[Edits] = ()) -> Tensor:
    """Mean KL(original undosed || adapted under the rows' edits), nats a token; differentiable.

    It is read token by token along the original's own undosed replies.
    """
    batch = packed(lora.model, rows)
    with torch.no_grad(), lora.absent():
        original = foreseen(lora.model, batch).log_softmax(-1)
    with torch.enable_grad():
        adapted = foreseen(lora.model, batch, edits).log_softmax(-1)
        return F.kl_div(adapted, original, reduction="batchmean", log_target=True)
