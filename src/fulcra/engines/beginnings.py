"""What the prompts of a batch begin with, read once a dose in place of once a row."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from fulcra.engines.cache import arrange, attention_windows
from fulcra.engines.trunk import Trunk, split_writes, widened
from fulcra.models import Model, applied_rows
from fulcra.models.chat import shared_start
from fulcra.types import Direction, Edit, Edits, RolloutRequest

#: A shared beginning of fewer tokens does not pay for a pass of its own.
PREFIX = 4
#: A beginning is read apart where doses are at most this share of the rows.
DOSES = 0.5
#: A beginning counts where it is at least this part of a row with its reply.
PART = 0.2
#: Batches go by dose where the prompts fill at most this share of one.
PROMPTS = 0.5


def own_prefix(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many first tokens all prompts share, each keeping a last one of its own."""
    return min(shared_start(prompts), min(map(len, prompts)) - 1)


def whole_histories(model: Model, width: int) -> bool:
    """Whether every layer attends to all of `width` tokens, by keys and values alone.

    A sliding window would count the pads between a beginning and the rest of a prompt.
    """
    spans = attention_windows(model)
    return bool(spans) and all(span is None or span >= width for span in spans)


def dose_of(edits: Edits) -> tuple[object, ...]:
    """What tells the edits of a row from others, vectors of directions included."""
    return tuple((edit, _vector(edit)) for edit in edits)


def _vector(edit: Edit) -> int:
    """Which vector a direction writes; two of one name may differ."""
    return id(edit.site.vector) if isinstance(edit.site, Direction) else 0


def doses(requests: Sequence[RolloutRequest]) -> dict[tuple[object, ...], int]:
    """The first row of every dose."""
    first: dict[tuple[object, ...], int] = {}
    for row, request in enumerate(requests):
        first.setdefault(dose_of(request.edits), row)
    return first


def shared_prefix(model: Model, requests: Sequence[RolloutRequest]) -> int:
    """How many first tokens of all prompts may be read once a dose; 0 where it does not pay.

    Not where an edit tells prompt from reply.
    """
    if len(requests) == 1 or any(edit.positions != "all" for r in requests for edit in r.edits):
        return 0
    prefix, longest = worthwhile(requests), _longest(requests)
    if not prefix or len(doses(requests)) > DOSES * len(requests):
        return 0
    return prefix if whole_histories(model, longest) else 0


def worthwhile(requests: Sequence[RolloutRequest]) -> int:
    """How many first tokens all prompts share; 0 where that is too small a part of a row."""
    prefix = own_prefix(list({request.prompt for request in requests}))
    return prefix if prefix >= max(PREFIX, PART * _longest(requests)) else 0


def _longest(requests: Sequence[RolloutRequest]) -> int:
    """Tokens of the longest row, with its reply."""
    return max(len(r.prompt) for r in requests) + max(r.horizon for r in requests)


def begins_alike(requests: Sequence[RolloutRequest], together: int) -> bool:
    """Whether batches of `together` rows should hold every prompt under few doses.

    So where the prompts are few, and what they begin with is a good part of a row.
    """
    prompts = {request.prompt for request in requests}
    return 1 < len(prompts) <= PROMPTS * together and worthwhile(requests) > 0


def by_dose(requests: Sequence[RolloutRequest]) -> list[int]:
    """The places of requests by their first edited layer, then dose by dose as they come."""
    first = doses(requests)

    def key(i: int) -> tuple[int, int]:
        edits = requests[i].edits
        return min((edit.site.layer for edit in edits), default=-1), first[dose_of(edits)]

    return sorted(range(len(requests)), key=key)


def read_beginning(
    model: Model, cache: DynamicCache, rows: Trunk, requests: Sequence[RolloutRequest], prefix: int
) -> None:
    """Fills the cache of `rows`, those of `requests`, with the first `prefix` tokens of all."""
    firsts = doses(requests)
    places = list(firsts.values())
    entry = rows.entry[places]
    trunk = Trunk(entry.tolist(), [0] * len(places), rows.n_layers, model.device)
    hooked, writes = split_writes(model, [requests[row].edits for row in places], entry.tolist())
    ids = torch.tensor([requests[0].prompt[:prefix]], device=model.device)
    ids = ids.expand(len(trunk.base()), -1)
    with applied_rows(model, hooked) as applied, widened(model, trunk, writes, applied):
        model.hf(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=torch.arange(prefix, device=ids.device).expand_as(ids),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    number = {dose: i for i, dose in enumerate(firsts)}
    own = torch.tensor([number[dose_of(r.edits)] for r in requests], device=ids.device)
    arrange(cache, trunk.own, rows, own, trunk.node[own[rows.first]])
