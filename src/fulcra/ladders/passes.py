"""Teacher-forced passes of many doses at once: what lies below the doses is computed once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.engines.cache import arrange, row_cache
from fulcra.engines.decoding import shared
from fulcra.engines.memory import MEMORY_ERRORS, halved, is_out_of_memory
from fulcra.engines.trunk import Trunk, entry_layer, split_writes, widened
from fulcra.errors import InputError
from fulcra.models import Model, applied_rows
from fulcra.models.anchors import at_prompts
from fulcra.models.batches import padded, positions_of
from fulcra.types import Edit, Edits

#: Tokens of one forward pass: more of them leave the processor's caches, fewer pay for more passes.
TOKENS = 1 << 13
#: Logits of one forward pass: large vocabularies make smaller passes.
LOGITS = 1 << 27


class Texts(NamedTuple):
    """Teacher-forced replies, and the different prompts they follow.

    Prompts are left-padded: `ids`, `mask` [prompt, pos]. `of` [text] is the prompt of each reply,
    `after` [text, token] its right-padded tokens and `where` which of them are real.
    """

    ids: Tensor
    mask: Tensor
    of: Tensor
    after: Tensor
    where: Tensor

    @classmethod
    def of_pairs(
        cls, model: Model, prompts: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]]
    ) -> "Texts":
        """Replies after their prompts, a prompt held once for all its replies."""
        # An empty prompt has no position that could foresee the first token.
        pairs = [(p, r) if p else (r[:1], r[1:]) for p, r in zip(prompts, replies, strict=True)]
        places = {prompt: i for i, prompt in enumerate(dict.fromkeys(p for p, _ in pairs))}
        ids, mask = padded(list(places), model.device, left=True)
        after, real = padded([r for _, r in pairs], model.device)
        return cls(
            ids,
            mask,
            torch.tensor([places[p] for p, _ in pairs], device=model.device),
            after,
            real.bool(),
        )

    @property
    def prompts(self) -> list[tuple[int, ...]]:
        """The different prompts, without padding."""
        return [
            tuple(row[real].tolist()) for row, real in zip(self.ids, self.mask.bool(), strict=True)
        ]

    @property
    def tokens(self) -> int:
        """Positions computed under one dose."""
        return self.ids.numel() + self.after.numel()


def clean_logits(model: Model, texts: Texts) -> Tensor:
    """Undosed logits that foresee the reply tokens, [text, token, vocab]."""
    return next(dosed_logits(model, texts, [None]))[1][0]


@torch.no_grad()
def dosed_logits(
    model: Model, texts: Texts, doses: Sequence[Edit | Edits | None]
) -> Iterator[tuple[list[int], Tensor]]:
    """Pairs of (places of some doses, their logits [dose, text, token, vocab]), over all doses.

    A dose is one edit or several; those that enter at one layer run together.
    """
    rows = [dose if isinstance(dose, tuple) else () if dose is None else (dose,) for dose in doses]
    share = shared(model) if len(doses) > 1 else "none"
    entry = [entry_layer(row, model.n_layers, share) for row in rows]
    order = sorted(range(len(doses)), key=entry.__getitem__)
    per = max(1, min(TOKENS // texts.tokens, LOGITS // (texts.where.numel() * model.vocab)))
    for start in range(0, len(order), per):
        places = order[start : start + per]
        yield from _in_halves(model, texts, [(i, entry[i], rows[i]) for i in places])


def _in_halves(
    model: Model, texts: Texts, doses: Sequence[tuple[int, int, Edits]]
) -> Iterator[tuple[list[int], Tensor]]:
    """The passes over doses (place, layer it enters at, edits), in halves where memory runs out."""
    try:
        part = _Pass(model, texts, [entry for _, entry, _ in doses])
        logits = part.logits([edits for _, _, edits in doses])
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        if len(doses) == 1:
            raise _too_many(model, texts) from None
    else:
        yield [place for place, _, _ in doses], logits
        return
    # only here, when what ran out of memory has been let go
    half = halved(model, len(doses))
    yield from _in_halves(model, texts, doses[:half])
    yield from _in_halves(model, texts, doses[half:])


def _too_many(model: Model, texts: Texts) -> InputError:
    count, width = texts.after.shape
    return InputError(
        f"a pass over {count} replies of up to {width} tokens: {model.name} ran out of memory under"
        " one dose; free memory, or give fewer prompts"
    )


class _Pass:
    """Some doses on all texts: the prompts once a dose, then the replies as rows split off them."""

    def __init__(self, model: Model, texts: Texts, entry: Sequence[int]) -> None:
        self.model, self.texts, self.entry = model, texts, entry
        self.cache = row_cache(model, texts.ids.shape[1] + texts.after.shape[1])

    def logits(self, edits: Sequence[Edits]) -> Tensor:
        """Logits that foresee the reply tokens, [dose, text, token, vocab]."""
        texts, prompts = self.texts, len(self.texts.ids)
        rows = at_prompts(
            self.model, [row for row in edits for _ in range(prompts)], texts.prompts * len(edits)
        )
        trunk = self._trunk(prompts)
        base = trunk.base() % prompts
        logits = self._run(rows, trunk, texts.ids[base], texts.mask[base], 1)
        first: Tensor = logits.unflatten(0, (len(edits), prompts))[:, texts.of]
        if texts.after.shape[1] == 1:
            return first
        split = [rows[i * prompts + j] for i in range(len(edits)) for j in texts.of.tolist()]
        rest = self._replies(split, self._split(trunk))
        return torch.cat([first, rest.unflatten(0, (len(edits), len(texts.of)))], 2)

    def _replies(self, rows: Sequence[Edits], trunk: Trunk) -> Tensor:
        """Logits that foresee all reply tokens but the first, [dose x text, token, vocab]."""
        texts = self.texts
        base = trunk.base() % len(texts.of)
        ids = texts.after[base, :-1]
        mask = torch.cat([texts.mask[texts.of[base]], texts.where[base, :-1].long()], -1)
        return self._run(rows, trunk, ids, mask, ids.shape[1])

    def _trunk(self, rows: int) -> Trunk:
        return Trunk(
            [layer for layer in self.entry for _ in range(rows)],
            list(range(rows)) * len(self.entry),
            self.model.n_layers,
            self.model.device,
        )

    def _split(self, prompts: Trunk) -> Trunk:
        """The trunk of the replies, their keys and values copied from their prompts."""
        of, replies = self.texts.of, self._trunk(len(self.texts.of))
        rows = torch.arange(len(replies.entry), device=replies.entry.device)
        own = rows // len(of) * len(self.texts.ids) + of.repeat(len(self.entry))
        arrange(self.cache, prompts.own, replies, own, prompts.node[own[replies.first]])
        return replies

    def _run(
        self, rows: Sequence[Edits], trunk: Trunk, ids: Tensor, mask: Tensor, last: int
    ) -> Tensor:
        """Logits of the `last` positions of a pass, [row, pos, vocab]."""
        hooked, writes = split_writes(self.model, rows, trunk.entry.tolist())
        positions = positions_of(mask)[:, -ids.shape[1] :]
        with (
            applied_rows(self.model, hooked) as applied,
            widened(self.model, trunk, writes, applied),
        ):
            out = self.model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=last,
            )
        logits: Tensor = out.logits
        return logits
