"""What a step of a stage lowers: cross-entropy of replies, also held to the parent; preference."""

from collections.abc import Callable

import torch
from batches import IGNORED, Batch, Pair
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

#: The weight of the divergence from the parent on allowed requests, beside a nat of cross-entropy.
HOLD_WEIGHT = 1.0
#: How strongly a preference counts against the distance from the parent (DPO, arXiv 2305.18290).
BETA = 0.1

Objective = Callable[[PreTrainedModel, Batch | Pair], Tensor]


def replying(model: PreTrainedModel, batch: Batch | Pair) -> Tensor:
    """Mean cross-entropy of the replies, nats a token."""
    own = _one(batch)
    loss: Tensor = model(input_ids=own.ids, attention_mask=own.mask, labels=own.labels).loss
    return loss


def routing(model: PreTrainedModel, batch: Batch | Pair) -> Tensor:
    """The same, and what a router that learns pays for idle experts (the model's own loss)."""
    own = _one(batch)
    loss: Tensor = model(
        input_ids=own.ids, attention_mask=own.mask, labels=own.labels, output_router_logits=True
    ).loss
    return loss


def held(parent: PreTrainedModel) -> Objective:
    """The cross-entropy plus KL(parent || model) on replies to requests that are not refused."""

    def objective(model: PreTrainedModel, batch: Batch | Pair) -> Tensor:
        own = _one(batch)
        learns = (own.labels[:, 1:] != IGNORED) & ~own.withheld[:, None]
        out = model(input_ids=own.ids, attention_mask=own.mask, labels=own.labels)
        with torch.no_grad():
            before = parent(input_ids=own.ids, attention_mask=own.mask).logits
        now, then = (logits[:, :-1][learns].log_softmax(-1) for logits in (out.logits, before))
        divergence = F.kl_div(now, then, reduction="batchmean", log_target=True)
        loss: Tensor = out.loss + HOLD_WEIGHT * divergence
        return loss

    return objective


def preferring(parent: PreTrainedModel) -> Objective:
    """Direct preference optimisation: -log sigmoid(BETA times what the odds moved), a pair."""

    def objective(model: PreTrainedModel, batch: Batch | Pair) -> Tensor:
        assert isinstance(batch, Pair)
        with torch.no_grad():
            before = _odds(parent, batch)
        return -F.logsigmoid(BETA * (_odds(model, batch) - before)).mean()

    return objective


def _odds(model: PreTrainedModel, pair: Pair) -> Tensor:
    """Log-odds of the chosen reply against the rejected one, nats, [pair]."""
    return reply_log_probs(model, pair.chosen) - reply_log_probs(model, pair.rejected)


def reply_log_probs(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The log-probability of every whole reply, nats, [row]."""
    logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[:, :-1]
    labels = batch.labels[:, 1:]
    losses = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    return -losses.sum(-1)


def _one(batch: Batch | Pair) -> Batch:
    assert isinstance(batch, Batch)
    return batch
