"""Rows of which nothing before some place changes: what stands there is read once."""

from copy import copy
from typing import NamedTuple, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from fulcra.models.adapter import Model
from fulcra.models.batches import positions_of

#: How far logits after a prefix may lie from those of whole rows, in shares of the largest.
TOLERANCE = 1e-4
_SPLITS: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


class Rows(NamedTuple):
    """Token ids, mask, where a shift acts, [row, pos] each; the positions whose logits count."""

    ids: Tensor
    mask: Tensor
    acts: Tensor
    scored: slice

    def untouched(self) -> int:
        """The tokens before any shift and any logit that counts."""
        columns = self.acts.any(0).nonzero()
        start = self.scored.indices(self.ids.shape[1])[0]
        return min(start, int(columns[0])) if len(columns) else start


@final
class Prefixed:
    """Rows, what is left of them after their untouched tokens, and the keys and values of these.

    Nothing is left out where a model holds something else than keys and values of whole rows, or
    where logits differ (measured once a model).
    """

    def __init__(self, model: Model, rows: Rows) -> None:
        self.model, self.rows = model, rows
        self.cut, self._past = 0, DynamicCache(config=model.hf.config)
        cut = rows.untouched()
        if cut and all(type(layer) is DynamicLayer for layer in self._past.layers):
            self.cut = cut
            self._read()
            if not self._splits():
                self.cut = 0

    @property
    def acts(self) -> Tensor:
        """Where a shift acts, [row, pos] of the tokens that are left."""
        return self.rows.acts[:, self.cut :]

    def scored_logits(self) -> Tensor:
        """Logits [row, scored, vocab]; those of the positions before are never made."""
        return self._logits(self.cut)

    def _logits(self, cut: int) -> Tensor:
        rows, width = self.rows, self.rows.ids.shape[1]
        start, stop, _ = rows.scored.indices(width)
        past = self._copied() if cut else None
        out = self.model.hf(
            input_ids=rows.ids[:, cut:],
            attention_mask=rows.mask,
            position_ids=positions_of(rows.mask)[:, cut:],
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=width - start,
        )
        logits: Tensor = out.logits
        return logits[:, : stop - start]

    @torch.no_grad()
    def _read(self) -> None:
        """Fill the keys and values of the untouched tokens."""
        rows, cut = self.rows, self.cut
        self.model.hf(
            input_ids=rows.ids[:, :cut],
            attention_mask=rows.mask[:, :cut],
            position_ids=positions_of(rows.mask)[:, :cut],
            past_key_values=self._past,
            use_cache=True,
            logits_to_keep=1,
        )

    def _copied(self) -> DynamicCache:
        """The keys and values for one pass, which appends its own to the copy alone."""
        past = copy(self._past)
        past.layers = [copy(layer) for layer in self._past.layers]
        return past

    @torch.no_grad()
    def _splits(self) -> bool:
        if self.model.hf not in _SPLITS:
            whole, split = self._logits(0).float(), self._logits(self.cut).float()
            near = max(TOLERANCE, 4 * torch.finfo(self.model.dtype).eps)
            _SPLITS[self.model.hf] = bool((whole - split).abs().max() <= near * whole.abs().max())
        return _SPLITS[self.model.hf]
