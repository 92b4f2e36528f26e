"""Teacher-forced passes of many doses at once: what lies below the doses is computed once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from fulcra.engines.beginnings import PREFIX, own_prefix, whole_histories
from fulcra.engines.cache import arrange, row_cache
from fulcra.engines.decoding import logit_tolerance, shared
from fulcra.engines.memory import MEMORY_ERRORS, halved, is_out_of_memory
from fulcra.engines.trunk import Trunk, entry_layer, split_writes, widened
from fulcra.errors import InputError
from fulcra.models import Model, applied_rows
from fulcra.models.anchors import at_prompts
from fulcra.models.batches import padded, positions_of
from fulcra.models.unembedding import chosen_log_probs, final_vectors
from fulcra.types import Edit, Edits

#: Tokens of one forward pass: more of them leave the processor's caches, fewer pay for more passes.
TOKENS = 1 << 13


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
    def prefix(self) -> int:
        """How many first tokens all prompts share, each keeping a last one of its own."""
        return own_prefix(self.prompts)


def clean_vectors(model: Model, texts: Texts) -> Tensor:
    """Undosed final vectors that foresee the reply tokens, [position, d_model]."""
    return next(dosed_vectors(model, texts, [None]))[1][0]


def text_log_probs(model: Model, texts: Texts) -> list[Tensor]:
    """Undosed log-probability [nats] of each reply token, [reply pos] a text; on the CPU."""
    tokens = texts.after[texts.where]
    chosen = chosen_log_probs(model, clean_vectors(model, texts), tokens).cpu()
    return list(chosen.split(texts.where.sum(-1).tolist()))


@torch.no_grad()
def dosed_vectors(
    model: Model, texts: Texts, doses: Sequence[Edit | Edits | None]
) -> Iterator[tuple[list[int], Tensor]]:
    """Pairs of (places of some doses, final vectors [dose, position, d_model]), over all doses.

    The vectors are those that the unembedding turns into logits; a position is that of a real reply
    token, `texts.where` in order. A dose is one edit or several; those that enter at one layer run
    together.
    """
    rows = [dose if isinstance(dose, tuple) else () if dose is None else (dose,) for dose in doses]
    share = shared(model) if len(doses) > 1 else "none"
    prefix = texts.prefix if _may_share_prefix(model, texts, rows) else 0
    entry = [entry_layer(row, model.n_layers, share) for row in rows]
    order = sorted(range(len(doses)), key=entry.__getitem__)
    tokens = texts.ids[:, prefix:].numel() + texts.after.numel() + prefix
    per = max(1, TOKENS // tokens)
    for start in range(0, len(order), per):
        places = order[start : start + per]
        part = [(i, entry[i], rows[i]) for i in places]
        yield from _in_halves(model, texts, part, prefix)


def _in_halves(
    model: Model, texts: Texts, doses: Sequence[tuple[int, int, Edits]], prefix: int
) -> Iterator[tuple[list[int], Tensor]]:
    """The passes over doses (place, layer it enters at, edits), in halves where memory runs out."""
    try:
        part = _Pass(model, texts, [entry for _, entry, _ in doses], prefix)
        vectors = part.vectors([edits for _, _, edits in doses])[:, texts.where]
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        if len(doses) == 1:
            raise _too_many(model, texts) from None
    else:
        yield [place for place, _, _ in doses], vectors
        return
    # only here, when what ran out of memory has been let go
    half = halved(model, len(doses))
    yield from _in_halves(model, texts, doses[:half], prefix)
    yield from _in_halves(model, texts, doses[half:], prefix)


def _too_many(model: Model, texts: Texts) -> InputError:
    count, width = texts.after.shape
    return InputError(
        f"a pass over {count} replies of up to {width} tokens: {model.name} ran out of memory under"
        " one dose; free memory, or give fewer prompts"
    )


def _may_share_prefix(model: Model, texts: Texts, rows: Sequence[Edits]) -> bool:
    """Whether what the prompts begin with may be computed once a dose.

    Not where an edit tells prompt from reply, or depends on the prompt, or where a sliding window
    would count the pads between prefix and prompt.
    """
    if texts.prefix < PREFIX or len(texts.ids) == 1:
        return False
    if any(edit.positions != "all" or edit.op == "anchor" for row in rows for edit in row):
        return False
    width = texts.ids.shape[1] + texts.after.shape[1]
    return whole_histories(model, width) and _splits(model)


_SPLITS: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


@torch.no_grad()
def _splits(model: Model) -> bool:
    """Whether a prompt read in two parts, pads between them, gives the vectors of a whole one.

    Measured once a model, on a few tokens.
    """
    if model.hf not in _SPLITS:
        # pads of unequal number stand between the parts of the shorter prompt
        prompts = [tuple(5 + (7 * i) % (model.vocab - 5) for i in range(n)) for n in (6, 9)]
        texts = Texts.of_pairs(model, prompts, [(5, 6, 7), (6, 7)])
        whole, split = (_Pass(model, texts, [0], n).vectors([()])[:, texts.where] for n in (0, 4))
        distance = float((whole - split).abs().max() / whole.abs().max())
        _SPLITS[model.hf] = distance <= logit_tolerance(model)
    return _SPLITS[model.hf]


class _Pass:
    """Some doses on all texts: what prompts share once a dose, the prompts, then their replies.

    `mask` [prompt, pos]: the first `prefix` tokens, then pads, then the rest of each prompt.
    """

    def __init__(self, model: Model, texts: Texts, entry: Sequence[int], prefix: int) -> None:
        self.model, self.texts, self.entry, self.prefix = model, texts, entry, prefix
        width = texts.ids.shape[1]
        self.cache = row_cache(model, width + texts.after.shape[1])
        every = torch.ones_like(texts.mask[:, :prefix])
        self.mask = torch.cat([every, texts.mask[:, : width - prefix]], 1)

    def vectors(self, edits: Sequence[Edits]) -> Tensor:
        """Final vectors that foresee the reply tokens, [dose, text, token, d_model]."""
        texts, prompts = self.texts, len(self.texts.ids)
        rows = at_prompts(
            self.model, [row for row in edits for _ in range(prompts)], texts.prompts * len(edits)
        )
        trunk = self._prompts_trunk(edits)
        base = trunk.base() % prompts
        last = self._run(rows, trunk, texts.ids[base, self.prefix :], self.mask[base], 1)
        first: Tensor = last.unflatten(0, (len(edits), prompts))[:, texts.of]
        if texts.after.shape[1] == 1:
            return first
        split = [rows[i * prompts + j] for i in range(len(edits)) for j in texts.of.tolist()]
        own = torch.arange(len(edits), device=base.device)[:, None] * prompts + texts.of
        rest = self._replies(split, self._split(trunk, own.flatten(), len(texts.of)))
        return torch.cat([first, rest.unflatten(0, (len(edits), len(texts.of)))], 2)

    def _prompts_trunk(self, edits: Sequence[Edits]) -> Trunk:
        """The trunk of the prompts, after what they share."""
        prompts = len(self.texts.ids)
        if self.prefix == 0:
            return self._trunk(prompts)
        trunk, start = self._trunk(1), torch.tensor([self.texts.prompts[0][: self.prefix]])
        ids = start.to(self.model.device).expand(len(trunk.base()), -1)
        self._run(edits, trunk, ids, torch.ones_like(ids), 1)
        doses = torch.arange(len(edits), device=ids.device)
        return self._split(trunk, doses.repeat_interleave(prompts), prompts)

    def _replies(self, rows: Sequence[Edits], trunk: Trunk) -> Tensor:
        """Final vectors that foresee all reply tokens but the first, [row, token, d_model]."""
        texts = self.texts
        base = trunk.base() % len(texts.of)
        ids = texts.after[base, :-1]
        mask = torch.cat([self.mask[texts.of[base]], texts.where[base, :-1].long()], -1)
        return self._run(rows, trunk, ids, mask, ids.shape[1])

    def _trunk(self, rows: int) -> Trunk:
        return Trunk(
            [layer for layer in self.entry for _ in range(rows)],
            list(range(rows)) * len(self.entry),
            self.model.n_layers,
            self.model.device,
        )

    def _split(self, before: Trunk, own: Tensor, rows: int) -> Trunk:
        """The trunk of `rows` rows a dose, their keys and values copied from the rows at `own`."""
        after = self._trunk(rows)
        arrange(self.cache, before.own, after, own, before.node[own[after.first]])
        return after

    def _run(
        self, rows: Sequence[Edits], trunk: Trunk, ids: Tensor, mask: Tensor, last: int
    ) -> Tensor:
        """Final vectors of the `last` positions of a pass, [row, pos, d_model]."""
        hooked, writes = split_writes(self.model, rows, trunk.entry.tolist())
        positions = positions_of(mask)[:, -ids.shape[1] :]
        with (
            applied_rows(self.model, hooked) as applied,
            widened(self.model, trunk, writes, applied),
            final_vectors(self.model) as vectors,
        ):
            self.model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=last,
            )
        return vectors[-1]
