"""Mean and spread of every neuron over many prompts, learnt batch by batch and held nowhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.finite import require_finite
from fulcra.models.read_hooks import (
    last,
    layer_activations,
    mlp_call,
    mlp_place,
    padded,
    positions_of,
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean activation and sum of squared deviations of each neuron over `count` positions, [layer,
    d_mlp] float32.
    """

    count: int
    mean: Tensor
    m2: Tensor

    @property
    def variance(self) -> Tensor:
        """The unbiased variance of each neuron, nan of one position."""
        return self.m2 / (self.count - 1) if self.count > 1 else torch.full_like(self.m2, torch.nan)

    def merged(self, other: "Moments") -> "Moments":
        """The moments of both samples together."""
        count, shift = self.count + other.count, other.mean - self.mean
        between = shift.square() * (self.count * other.count / count)
        return Moments(
            count, self.mean + shift * (other.count / count), self.m2 + other.m2 + between
        )


class _Deep(Exception):
    """The last wanted layer has been read; nothing above it needs to run."""


@contextmanager
def _reading(
    model: Model, rows: int, layers: Sequence[int], found: dict[int, Tensor]
) -> Iterator[None]:
    def keep(layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            found[layer] = layer_activations(model, layer, mlp_call(model, layer, args, rows, last))
            if layer == max(layers):
                raise _Deep

        return hook

    handles = [mlp_place(model, layer).register_forward_pre_hook(keep(layer)) for layer in layers]
    try:
        yield
    except _Deep:
        pass
    finally:
        for handle in handles:
            handle.remove()


def activation_moments(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    layers: Sequence[int] | None = None,
    batch: int = 32,
) -> Moments:
    """Moments of all neurons of `layers` (default: all) at the last prompt token, on the model's
    device.

    Cost: one pass up to the last wanted layer, no unembedding; memory O(layers x d_mlp) beside the
    pass. InputError names the first neuron whose activation is not a finite number.
    """
    wanted = list(range(model.n_layers)) if layers is None else list(layers)
    if not prompts or not wanted:
        raise InputError(
            f"activation_moments() got {len(prompts)} prompts and {len(wanted)} layers: give at"
            " least one of each"
        )
    total: Moments | None = None
    # Prompts of like length together: padding is work too.
    ordered = sorted(prompts, key=len)
    for start in range(0, len(ordered), batch):
        some = _batch_moments(model, ordered[start : start + batch], wanted)
        total = some if total is None else total.merged(some)
    assert total is not None
    require_finite(model, total.mean, wanted)
    return total


@torch.no_grad()
def _batch_moments(
    model: Model, prompts: Sequence[tuple[int, ...]], layers: Sequence[int]
) -> Moments:
    ids, mask = padded(prompts, model.device, left=True)
    found: dict[int, Tensor] = {}
    with _reading(model, len(ids), layers, found):
        model.hf.base_model(
            input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False
        )
    seen = torch.stack([found[layer].to(model.device) for layer in layers], 1)
    mean = seen.mean(0)
    return Moments(len(seen), mean, seen.sub_(mean).square_().sum(0))
