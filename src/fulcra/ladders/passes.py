"""Teacher-forced passes of many doses at once: what lies below the doses is computed once for all of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.engines.decoding import resumes
from fulcra.engines.trunk import Trunk, entry_layer, widened
from fulcra.models import Model, applied_rows
from fulcra.models.capture import padded, positions_of
from fulcra.types import Edit

#: Tokens of one forward pass; the texts are repeated once a dose.
TOKENS = 1 << 15


class Texts(NamedTuple):
    """Teacher-forced replies as one left-padded batch [text, pos]; `where` [text, kept] marks those of the last positions
    whose next token, in `after` [text, kept], is a reply token."""

    ids: Tensor
    mask: Tensor
    where: Tensor
    after: Tensor

    @classmethod
    def of(cls, model: Model, prompts: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]]) -> "Texts":
        """Replies after their prompts; the last token of each is only ever a target."""
        # An empty prompt has no position that could foresee the first token.
        pairs = [(p, r) if p else (r[:1], r[1:]) for p, r in zip(prompts, replies, strict=True)]
        ids, mask = padded([(p + r)[:-1] for p, r in pairs], model.device, left=True)
        after, _ = padded([r for _, r in pairs], model.device, left=True)
        kept = torch.tensor([len(r) for _, r in pairs], device=model.device)
        width = after.shape[1]
        return cls(ids, mask, torch.arange(width, device=model.device) >= width - kept[:, None], after)


def clean_logits(model: Model, texts: Texts) -> Tensor:
    """Undosed logits at the kept positions, [text, kept, vocab]."""
    return next(dosed_logits(model, texts, [None]))[1][0]


@torch.no_grad()
def dosed_logits(model: Model, texts: Texts, doses: Sequence[Edit | None]) -> Iterator[tuple[list[int], Tensor]]:
    """(which doses, logits [dose, text, kept, vocab]) for all doses, some at a time, those of one layer together."""
    rows = [(dose,) if dose is not None else () for dose in doses]
    share = len(doses) > 1 and resumes(model)
    entry = [entry_layer(row, model.n_layers) if share else 0 for row in rows]
    order = sorted(range(len(doses)), key=entry.__getitem__)
    per = max(1, TOKENS // texts.ids.numel())
    for start in range(0, len(order), per):
        some = order[start : start + per]
        yield some, _pass(model, texts, [rows[i] for i in some], [entry[i] for i in some])


def _pass(model: Model, texts: Texts, edits: Sequence[tuple[Edit, ...]], entry: Sequence[int]) -> Tensor:
    n = len(texts.ids)
    trunk = Trunk([layer for layer in entry for _ in range(n)], list(range(n)) * len(edits), model.n_layers, model.device)
    base, steps = trunk.base() % n, trunk.widenings()
    rows = [row for row in edits for _ in range(n)]
    mask = texts.mask[base]
    with applied_rows(model, rows) as applied, widened(model, applied, list(steps)) as widening:
        widening.set(steps, len(base))
        kept = texts.where.shape[1]
        out = model.hf(input_ids=texts.ids[base], attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=kept)
    return out.logits.unflatten(0, (len(edits), n))  # type: ignore[no-any-return]
