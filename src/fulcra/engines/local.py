"""Rollouts on this machine: requests with different edits, prompts and lengths decoded together."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from fulcra.errors import InputError
from fulcra.models import Model, applied_rows
from fulcra.models.capture import padded, positions_of
from fulcra.types import Neuron, Rollout, RolloutRequest

#: Cache bytes one shard may hold. A constant, so that shards depend on the requests alone and never on free memory.
SHARD_BYTES = 256 << 20
MAX_ROWS = 768


def shard_rows(model: Model, width: int) -> int:
    """Rows decoded together at `width` tokens a row."""
    text = model.hf.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or model.d_model // text.num_attention_heads
    per_row = 2 * model.n_layers * heads * head_dim * width * model.dtype.itemsize
    return max(1, min(MAX_ROWS, SHARD_BYTES // per_row))


def shards(model: Model, requests: Sequence[RolloutRequest]) -> list[list[int]]:
    """Indices of requests that run together, alike in horizon, edited layer and prompt length."""

    def key(i: int) -> tuple[int, int, int, int]:
        request = requests[i]
        layer = min((edit.site.layer for edit in request.edits if isinstance(edit.site, Neuron)), default=-1)
        return request.horizon, layer, len(request.prompt), i

    order = sorted(range(len(requests)), key=key)
    out: list[list[int]] = []
    while order:
        width = max(len(requests[i].prompt) + requests[i].horizon for i in order[:MAX_ROWS])
        rows = shard_rows(model, width)
        out.append(order[:rows])
        order = order[rows:]
    return out


def run(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts of `requests`, in their order."""
    out: list[Rollout | None] = [None] * len(requests)
    for done in run_shards(model, requests):
        for i, rollout in done.items():
            out[i] = rollout
    return [rollout for rollout in out if rollout is not None]


def run_shards(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
    """Rollouts by request index, a shard at a time."""
    for request in requests:
        longest = len(request.prompt) + request.horizon
        if longest > model.context:
            raise InputError(f"rollout of {len(request.prompt)} + {request.horizon} tokens: {model.name} has a context of {model.context}; shorten it")
    for shard in shards(model, requests):
        rollouts = _decode(model, [requests[i] for i in shard])
        yield dict(zip(shard, rollouts, strict=True))


def _uniforms(requests: Sequence[RolloutRequest], horizon: int) -> Tensor:
    """One uniform number a row and step, from the row's own seed alone."""
    draws = [np.random.Generator(np.random.Philox(key=r.sampling.seed)).random(horizon) if r.sampling.temperature > 0 else np.zeros(horizon) for r in requests]
    return torch.from_numpy(np.stack(draws)).float()


def _choose(logits: Tensor, temperature: Tensor, uniform: Tensor) -> Tensor:
    greedy = logits.argmax(-1)
    warm = temperature > 0
    if not bool(warm.any()):
        return greedy
    cumulative = (logits[warm].float() / temperature[warm, None]).softmax(-1).cumsum(-1)
    # Scaled by the total, so that rounding in the sum can never push a draw past the last token.
    drawn = torch.searchsorted(cumulative, (uniform[warm] * cumulative[:, -1])[:, None], right=True)[:, 0]
    greedy[warm] = drawn.clamp(max=logits.shape[-1] - 1)
    return greedy


class _Rows:
    """The rows of a shard while they are decoded: what each has said and whether it is over."""

    def __init__(self, requests: Sequence[RolloutRequest]) -> None:
        self.tokens: list[list[int]] = [[] for _ in requests]
        self.over = [False] * len(requests)
        self.ended = [False] * len(requests)
        self.finite = [True] * len(requests)

    def take(self, row: int, token: int, finite: bool, ends: frozenset[int], horizon: int) -> None:
        """One more token of a row that is not over."""
        if not finite:
            self.finite[row], self.over[row] = False, True
        elif token in ends:
            self.ended[row], self.over[row] = True, True
        else:
            self.tokens[row].append(token)
            self.over[row] = len(self.tokens[row]) >= horizon

    def rollouts(self) -> list[Rollout]:
        """What came of every row."""
        return [Rollout(tuple(t), e, f) for t, e, f in zip(self.tokens, self.ended, self.finite, strict=True)]


@torch.no_grad()
def _decode(model: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    horizon, ends = max(r.horizon for r in requests), model.end_ids
    ids, mask = padded([r.prompt for r in requests], model.device, left=True)
    temperature = torch.tensor([r.sampling.temperature for r in requests], device=model.device)
    uniform = _uniforms(requests, horizon).to(model.device)
    rows, cache, positions = _Rows(requests), DynamicCache(config=model.hf.config), positions_of(mask)
    with applied_rows(model, [r.edits for r in requests]) as applied:
        for step in range(horizon):
            out = model.hf(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = out.logits[:, -1]
            finite = torch.isfinite(logits).all(-1)
            chosen = _choose(logits.nan_to_num(), temperature, uniform[:, step])
            for row, (token, sound) in enumerate(zip(chosen.tolist(), finite.tolist(), strict=True)):
                if not rows.over[row]:
                    rows.take(row, token, sound, ends, requests[row].horizon)
            if all(rows.over):
                break
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(requests), 1)], -1)
    if any(r.edits for r in requests) and applied.passes == 0:
        raise InputError("run(): the edits of this batch never acted; their positions do not occur in these rollouts")
    return rows.rollouts()
