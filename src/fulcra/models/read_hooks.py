"""Hooks that read a running model: streams, neurons and routing, copied at once."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.hooks import RemovableHandle

from fulcra.errors import ModelCheckError
from fulcra.models.adapter import Model, by_row
from fulcra.models.experts import Routed, all_activations

#: What is copied of a tensor [row, pos, ...] of a layer.
Select = Callable[[int, Tensor], Tensor]
Read = TypeVar("Read")


def everywhere(layer: int, values: Tensor) -> Tensor:
    """Every position of every row."""
    return values


def last(layer: int, values: Tensor) -> Tensor:
    """The last position of every row."""
    return values[:, -1]


@contextmanager
def hooked(handles: Iterable[Any]) -> Iterator[None]:
    """Hooks in force inside the block; their handles are removed also after an exception."""
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield


@contextmanager
def _read(model: Model, tap: Callable[[int, dict[int, Read]], Any]) -> Iterator[dict[int, Read]]:
    """What `tap` puts in by layer while the model runs; ModelCheckError if a layer is missing."""
    reads: dict[int, Read] = {}
    with hooked([tap(layer, reads) for layer in range(model.n_layers)]):
        yield reads
    silent = [layer for layer in range(model.n_layers) if layer not in reads]
    if silent:
        raise ModelCheckError(
            f"model {model.name!r}: no hook ran at {model.place(silent[0])}, {len(reads)} of"
            f" {model.n_layers} layers were read; the model is compiled, calls forward() past its"
            " modules, or did not run: load it uncompiled"
        )


def block_outputs(
    model: Model, select: Select = everywhere
) -> AbstractContextManager[dict[int, Tensor]]:
    """The residual stream at every block's output, filled while the model runs inside the block."""

    def tap(layer: int, reads: dict[int, Tensor]) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            stream = output if isinstance(output, Tensor) else output[0]
            reads[layer] = select(layer, stream).clone()

        return model.blocks[layer].register_forward_hook(hook)

    return _read(model, tap)


def block_inputs(model: Model) -> AbstractContextManager[dict[int, Tensor]]:
    """The residual stream as every block gets it, filled while the model runs inside the block."""
    return _first_inputs(model, lambda layer: model.blocks[layer])


def stream_reads(model: Model) -> AbstractContextManager[dict[int, Tensor]]:
    """The input of the module that reads the stream for every MLP, before any norm."""
    path = model.family.mlp_reads
    return _first_inputs(model, lambda layer: model.module(model.blocks[layer], path, "mlp_reads"))


def _first_inputs(
    model: Model, module_of: Callable[[int], Module]
) -> AbstractContextManager[dict[int, Tensor]]:
    def tap(layer: int, reads: dict[int, Tensor]) -> RemovableHandle:
        def hook(module: Module, args: tuple[Tensor, ...], options: dict[str, Tensor]) -> None:
            reads[layer] = (args[0] if args else options["hidden_states"]).clone()

        return module_of(layer).register_forward_pre_hook(hook, with_kwargs=True)

    return _read(model, tap)


def mlp_place(model: Model, layer: int) -> Any:
    """The module whose input holds the neurons of a layer: its down projection, or its experts."""
    experts = model.experts(layer)
    return model.down(layer) if experts is None else experts


def mlp_outputs(
    model: Model, rows: int, select: Select = everywhere
) -> AbstractContextManager[dict[int, Tensor]]:
    """What every layer's MLP, all experts together, writes before any norm, in a batch of rows."""

    def tap(layer: int, reads: dict[int, Tensor]) -> Any:
        def hook(module: Any, args: Any, output: Tensor) -> None:
            reads[layer] = select(layer, by_row(output, rows)).clone()

        return mlp_place(model, layer).register_forward_hook(hook)

    return _read(model, tap)


def mlp_inputs(
    model: Model, rows: int, select: Select = everywhere
) -> AbstractContextManager[dict[int, Tensor | Routed]]:
    """The neurons of every layer, or what its experts were called with, of a batch of `rows`."""

    def tap(layer: int, reads: dict[int, Tensor | Routed]) -> Any:
        def hook(module: Any, args: tuple[Tensor, ...]) -> None:
            if model.experts(layer) is None:
                reads[layer] = select(layer, by_row(args[0], rows)).clone()
            else:
                parts = (select(layer, by_row(part, rows)).clone() for part in args[:3])
                reads[layer] = Routed(*parts)

        return mlp_place(model, layer).register_forward_pre_hook(hook)

    return _read(model, tap)


def layer_activations(model: Model, layer: int, inputs: Tensor | Routed) -> Tensor:
    """Activations [n, d_mlp] of all neurons of a layer, float32; 0 in experts not routed to."""
    if isinstance(inputs, Routed):
        inputs = all_activations(model.experts(layer), inputs.tokens, inputs.expert_ids)
    return torch.nn.functional.pad(inputs.float(), (0, model.d_mlp - inputs.shape[-1]))
