"""Three statistics of a window of the stream, each the largest over layers, and whom they name."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from fulcra.formulas.shift import LEAST, Whitening, usual, whitened, whitening
from fulcra.models import Model
from fulcra.models.coordinate import moves
from fulcra.types import Neuron

#: `dose`: the largest whitened cosine of the shift with a write. `shift`: the whitened length of
#: the shift. `cosine`: the largest plain cosine, from its clean median over its clean quantile.
Statistic = Literal["dose", "shift", "cosine"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


class LayerNorms(NamedTuple):
    """What is usual in one layer on clean text; all by neuron but the whitening and `levels`.

    `lengths` of the whitened writes; `median` and `usual` the clean median of the cosine and the
    clean quantile of its distance; `levels` the clean median of each statistic, 1 of the dose.
    """

    spread: Whitening
    lengths: Tensor
    median: Tensor
    usual: Tensor
    levels: Tensor


class Scores(NamedTuple):
    """The statistics of windows, [window, statistic], the layer and neuron that `dose` names."""

    values: Tensor
    layers: Tensor
    slots: Tensor
    signs: Tensor

    def column(self, statistic: Statistic) -> Tensor:
        """The values of one statistic by window, [window]."""
        return self.values[:, STATISTICS.index(statistic)]

    def named(self, model: Model, window: int) -> Neuron:
        """The neuron whose write the shift of a window is nearest to, with its pole."""
        layer, slot = int(self.layers[window]), int(self.slots[window])
        return model.neuron(layer, slot, 1 if self.signs[window] > 0 else -1)


def layer_norms(model: Model, layer: int, clean: Tensor) -> LayerNorms:
    """What is usual in a layer, from clean windows [window, d_model]."""
    spread, writes = whitening(clean), moves(model, layer).cpu()
    lengths = whitened(spread, writes).norm(dim=-1)
    ones, none = torch.ones(len(writes)), torch.zeros(len(writes))
    raw = LayerNorms(spread, lengths, none, ones, torch.ones(len(STATISTICS)))
    cosine = _cosine(raw, writes, clean)
    median = cosine.median(0).values
    norms = raw._replace(median=median, usual=usual(cosine - median))
    levels = _of_layer(norms, writes, clean)[0].median(0).values.clamp(min=LEAST)
    # a cosine of 1 means the same in every layer
    levels[STATISTICS.index("dose")] = 1
    return norms._replace(levels=levels)


def scores(
    model: Model, norms: Iterable[LayerNorms], windows: Tensor, plain: bool = True
) -> Scores:
    """The statistics of windows [window, layer, d_model] of this model's stream.

    Without `plain` the cosine, which costs as much as both others together, is left 0. Cost: one
    product with every write, of both poles at once; two with `plain`.
    """
    values, slots, signs = [], [], []
    for layer, norm in enumerate(norms):
        writes = moves(model, layer).to(windows.device)
        here = LayerNorms(
            Whitening(*(part.to(windows.device) for part in norm.spread)),
            *(part.to(windows.device) for part in norm[1:]),
        )
        value, slot, sign = _of_layer(here, writes, windows[:, layer], plain)
        values.append(value / here.levels)
        slots.append(slot)
        signs.append(sign)
    best = torch.stack(values, 1).max(1)
    dosed = best.indices[:, STATISTICS.index("dose")]
    rows = torch.arange(len(windows), device=windows.device)
    chosen = (torch.stack(column, 1)[rows, dosed].cpu() for column in (slots, signs))
    return Scores(best.values.cpu(), dosed.cpu(), *chosen)


def _of_layer(
    norms: LayerNorms, writes: Tensor, windows: Tensor, plain: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """The statistics of one layer [window, statistic], and the neuron of `dose` with its sign."""
    aligned, length = _aligned(norms, writes, windows)
    top = aligned.abs().max(1)
    signs = aligned.gather(1, top.indices[:, None])[:, 0].sign()
    cosine = _cosine(norms, writes, windows).abs().amax(1) if plain else torch.zeros_like(length)
    return torch.stack([top.values, length, cosine], 1), top.indices, signs


def _aligned(norms: LayerNorms, writes: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Whitened cosines [window, neuron], and the shift's whitened length."""
    shifts = whitened(norms.spread, windows - norms.spread.center)
    sizes = shifts.norm(dim=-1)
    # cos(P^1/2 x, P^1/2 v): the writes stay as they are, the shift is whitened twice
    twice = whitened(norms.spread, shifts) / sizes[:, None].clamp(min=LEAST)
    return twice @ writes.T / norms.lengths.clamp(min=LEAST), sizes


def _cosine(norms: LayerNorms, writes: Tensor, windows: Tensor) -> Tensor:
    """The window's mean cos(r, v) of every neuron from its clean median, over what is usual."""
    plain = windows @ writes.T / writes.norm(dim=-1).clamp(min=LEAST)
    distance: Tensor = (plain - norms.median) / norms.usual
    return distance
