"""Rollouts on this machine: requests with different edits, prompts and lengths decoded together."""

from collections.abc import Iterator, Sequence

from fulcra.engines.decoding import decode
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest

#: Cache bytes one shard may hold. A constant, so that shards depend on the requests alone and never on free memory.
SHARD_BYTES = 256 << 20
MAX_ROWS = 768


def shard_rows(model: Model, width: int) -> int:
    """Rows decoded together at `width` tokens a row."""
    text = model.hf.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or model.d_model // text.num_attention_heads
    per_row = 2 * model.n_layers * heads * head_dim * width * model.dtype.itemsize
    return max(1, min(MAX_ROWS, SHARD_BYTES // int(per_row)))


def shards(model: Model, requests: Sequence[RolloutRequest]) -> list[list[int]]:
    """Indices of requests that run together, alike in horizon and prompt, so that padding is short and much is shared."""

    def key(i: int) -> tuple[int, int, tuple[int, ...], int]:
        request = requests[i]
        return request.horizon, len(request.prompt), request.prompt, i

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
            raise InputError(
                f"rollout of {len(request.prompt)} + {request.horizon} tokens: {model.name} has a context of {model.context}; shorten it"
            )
    for shard in shards(model, requests):
        yield dict(zip(shard, decode(model, [requests[i] for i in shard]), strict=True))
