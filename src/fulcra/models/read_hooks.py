"""Taps that read a running model: block outputs, neurons and routing, copied before anything can
overwrite them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from fulcra.errors import ModelCheckError
from fulcra.models.adapter import Model, by_row
from fulcra.models.experts import Routed, all_activations

#: What a tap keeps of a tensor [row, pos, ...] of a layer.
At = Callable[[int, Tensor], Tensor]


def everywhere(layer: int, seen: Tensor) -> Tensor:
    """All of it."""
    return seen


def last(layer: int, seen: Tensor) -> Tensor:
    """The last position of every row."""
    return seen[:, -1]


def padded(
    rows: Sequence[Sequence[int]], device: torch.device, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask [batch, pos] of rows of unequal length."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = torch.tensor(row, dtype=torch.long), 1
    return ids.to(device), mask.to(device)


def positions_of(mask: Tensor) -> Tensor:
    """Position ids [batch, pos] of an attention mask, 0 at the first real token of each row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


@contextmanager
def _tapped(model: Model, handles: Sequence[Any], found: dict[int, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield
    silent = [layer for layer in range(model.n_layers) if layer not in found]
    if silent:
        raise ModelCheckError(
            f"model {model.name!r}: no hook ran at {model.place(silent[0])}, {len(found)} of"
            f" {model.n_layers} layers were read; the model is compiled, calls forward() past its"
            " modules, or did not run: load it uncompiled"
        )


@contextmanager
def block_outputs(model: Model, at: At = everywhere) -> Iterator[dict[int, Tensor]]:
    """The residual stream at every block's output, filled while the model runs inside the block."""
    found: dict[int, Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            found[layer] = at(layer, output if isinstance(output, Tensor) else output[0]).clone()

        return hook

    with _tapped(
        model,
        [block.register_forward_hook(keep(layer)) for layer, block in enumerate(model.blocks)],
        found,
    ):
        yield found


def mlp_place(model: Model, layer: int) -> Any:
    """The module whose input holds the neurons of a layer: its down projection, or its experts."""
    experts = model.experts(layer)
    return model.down(layer) if experts is None else experts


def mlp_call(
    model: Model, layer: int, args: tuple[Tensor, ...], rows: int, at: At
) -> Tensor | Routed:
    """A copy of what `mlp_place` was called with for a batch of `rows`: the neurons, or the tokens
    and their routing.
    """
    if model.experts(layer) is None:
        return at(layer, by_row(args[0], rows)).clone()
    return Routed(*(at(layer, by_row(one, rows)).clone() for one in args[:3]))


@contextmanager
def mlp_outputs(model: Model, rows: int, at: At = everywhere) -> Iterator[dict[int, Tensor]]:
    """What every layer's down projection, or its experts together, wrote, before any norm, of a
    batch of `rows`.
    """
    found: dict[int, Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(module: Any, args: Any, output: Tensor) -> None:
            found[layer] = at(layer, by_row(output, rows)).clone()

        return hook

    with _tapped(
        model,
        [
            mlp_place(model, layer).register_forward_hook(keep(layer))
            for layer in range(model.n_layers)
        ],
        found,
    ):
        yield found


@contextmanager
def mlp_inputs(
    model: Model, rows: int, at: At = everywhere
) -> Iterator[dict[int, Tensor | Routed]]:
    """The neurons of every layer, or what its experts were called with, of a batch of `rows`."""
    found: dict[int, Tensor | Routed] = {}

    def keep(layer: int) -> Any:
        def hook(module: Any, args: tuple[Tensor, ...]) -> None:
            found[layer] = mlp_call(model, layer, args, rows, at)

        return hook

    with _tapped(
        model,
        [
            mlp_place(model, layer).register_forward_pre_hook(keep(layer))
            for layer in range(model.n_layers)
        ],
        found,
    ):
        yield found


def layer_activations(model: Model, layer: int, seen: Tensor | Routed) -> Tensor:
    """Activations [n, d_mlp] of all neurons of a layer, float32; 0 in experts that a token is not
    routed to.
    """
    if isinstance(seen, Routed):
        seen = all_activations(model.experts(layer), seen.tokens, seen.expert_ids)
    return torch.nn.functional.pad(seen.float(), (0, model.d_mlp - seen.shape[-1]))
