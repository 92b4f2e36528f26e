"""One forward pass taken apart: every block's call, made again with something changed.

Nothing of the model is changed: a block is called alone with the arguments that it was called with,
in float32, on a copy where the model is in another dtype.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fulcra.errors import ModelError

#: Tokens of the pass that is traced.
TOKENS = 6
#: What is made of a module's input, or of its output, in a changed call.
Change = Callable[[Tensor], Tensor]


class Call(NamedTuple):
    """One module's call inside a block: its path there, what it read and what it wrote.

    Tensors are [pos, columns]; `order` counts calls by their begin. `positional` says whether the
    input came as a positional argument, `rest` holds the positional ones after the first.
    """

    path: str
    module: nn.Module
    order: int
    positional: bool
    read: Tensor
    wrote: Tensor
    rest: tuple[object, ...] = ()


class Planted(NamedTuple):
    """A change at one module of a block: of what it reads, or of what it wrote."""

    path: str
    change: Change
    at_output: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A block and the call that the traced pass made of it; `before` and `after` are the stream."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    before: Tensor
    after: Tensor

    @torch.no_grad()
    def calls(self, *planted: Planted) -> dict[str, Call]:
        """Every module's call by its path, "" for the block itself; modules called once only."""
        begun: dict[str, int] = {}
        calls: dict[str, Call] = {}
        twice: set[str] = set()
        handles = [self._plant(plan) for plan in planted]
        for path, module in self.module.named_modules():
            handles += _recorders(path, module, begun, calls, twice)
        try:
            kwargs = {key: _copied(value) for key, value in self.kwargs.items()}
            self.module(*map(_copied, self.args), **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        return {path: call for path, call in calls.items() if path not in twice}

    def _plant(self, plan: Planted) -> RemovableHandle:
        module = self.module.get_submodule(plan.path)
        if plan.at_output:
            return module.register_forward_hook(lambda _, args, output: plan.change(output))
        return module.register_forward_pre_hook(
            lambda _, args: (plan.change(args[0].clone()), *args[1:])
        )


def _recorders(
    path: str,
    module: nn.Module,
    begun: dict[str, int],
    calls: dict[str, Call],
    twice: set[str],
) -> list[RemovableHandle]:
    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        if path in begun:
            twice.add(path)
        begun[path] = len(begun)

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        read, wrote = _first([*args, *kwargs.values()]), _first([output])
        if read is not None and wrote is not None:
            positional = bool(args) and args[0] is read
            pair = flat(read).clone(), flat(wrote).clone()
            calls[path] = Call(path, module, begun[path], positional, *pair, tuple(args[1:]))

    return [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True),
    ]


def _first(values: Sequence[Any]) -> Tensor | None:
    """The first float tensor of a call, also within a tuple."""
    for value in values:
        entry = value[0] if isinstance(value, tuple) and value else value
        if isinstance(entry, Tensor) and entry.is_floating_point() and entry.dim() > 1:
            return entry
    return None


def flat(values: Tensor) -> Tensor:
    """Values [pos, columns] of a single row, float32."""
    return values.detach().reshape(-1, values.shape[-1]).float()


def _copied(values: object) -> object:
    """Arguments whose tensors a call may write on; float ones in float32."""
    if isinstance(values, Tensor):
        cloned = values.detach().clone()
        return cloned.float() if cloned.is_floating_point() else cloned
    if isinstance(values, dict):
        return {key: _copied(value) for key, value in values.items()}
    if type(values) is tuple:
        return tuple(map(_copied, values))
    if type(values) is list:
        return list(map(_copied, values))
    return values


class Pass(NamedTuple):
    """A traced pass: the blocks' path and calls, modules called after them, and the logits.

    `later` holds (path, module, what it read) in the order of the calls.
    """

    layers: str
    blocks: tuple[Block, ...]
    later: tuple[tuple[str, nn.Module, Tensor], ...]
    logits: Tensor


@torch.no_grad()
def traced(hf: Any, ids: Tensor) -> Pass:
    """One pass of a model over `ids` [1, pos], taken apart.

    ModelError unless one list of as many modules as the config has layers hands a stream on from
    each to the next.
    """
    config = hf.config.get_text_config()
    count, d_model = int(config.num_hidden_layers), int(config.hidden_size)
    lists = {
        path: tuple(module)
        for path, module in hf.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    }
    calls: dict[int, list[tuple[tuple[Any, ...], dict[str, Any], Any]]] = {}
    later: list[tuple[str, nn.Module, Tensor]] = []
    with _watched(hf, lists, calls, later):
        logits: Tensor = hf(input_ids=ids, use_cache=False).logits
    for path, modules in lists.items():
        if (blocks := _chained(path, modules, calls, d_model)) is not None:
            return Pass(path, blocks, tuple(later), logits)
    raise ModelError(f"no list of {count} modules hands a stream of {d_model} columns on")


@contextmanager
def _watched(hf: Any, lists: dict[str, Any], calls: Any, later: Any) -> Iterator[None]:
    inside = {id(m) for modules in lists.values() for block in modules for m in block.modules()}
    blocks = {id(block): block for modules in lists.values() for block in modules}

    def called(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        calls.setdefault(id(module), []).append((args, kwargs, output))
        later.clear()

    def reads(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            if args and isinstance(args[0], Tensor) and args[0].is_floating_point():
                later.append((path, module, args[0].detach().clone()))

        return hook

    handles = [b.register_forward_hook(called, with_kwargs=True) for b in blocks.values()]
    for path, module in hf.named_modules():
        if id(module) not in inside:
            handles.append(module.register_forward_pre_hook(reads(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _chained(
    path: str, modules: tuple[nn.Module, ...], calls: Any, d_model: int
) -> tuple[Block, ...] | None:
    """The blocks of a list whose every output is the next one's input; None for another list."""
    blocks: list[Block] = []
    for layer, module in enumerate(modules):
        if len(calls.get(id(module), ())) != 1:
            return None
        args, kwargs, output = calls[id(module)][0]
        before, after = _first(args), _first([output])
        if before is None or after is None or after.shape[-1] != d_model:
            return None
        if blocks and not torch.equal(flat(before), blocks[-1].after):
            return None
        blocks.append(Block(f"{path}.{layer}", module, args, kwargs, flat(before), flat(after)))
    return tuple(blocks)


@torch.no_grad()
def exact(block: Block) -> Block:
    """The block in float32; ModelError unless calling it again gives the stream that it gave."""
    parameters = list(block.module.parameters())
    if not all(type(p) is nn.Parameter and p.is_floating_point() for p in parameters):
        raise ModelError(f"{block.path} holds quantized weights; load the weights as they are once")
    single = all(p.dtype == torch.float32 for p in parameters)
    module = block.module if single else copy.deepcopy(block.module).float()
    again = Block(block.path, module, block.args, block.kwargs, block.before, block.after)
    calls = again.calls()
    if "" not in calls:
        raise ModelError(f"{block.path} writes no stream")
    after = calls[""].wrote
    away = float((after - block.after).norm() / block.after.norm().clamp(min=1e-30))
    if not away <= (1e-5 if single else 0.1):
        raise ModelError(f"{block.path} called again gives another stream ({away:.2g} away)")
    return Block(block.path, module, block.args, block.kwargs, block.before, after)


@torch.no_grad()
def shift_free(module: nn.Module, stream: Tensor) -> bool:
    """Whether a module reads a stream [pos, d_model] less its mean over d_model."""
    dtype = next((weight.dtype for weight in module.parameters()), torch.float32)
    shifted, plain = (flat(module(values[None].to(dtype))) for values in (stream + 3.0, stream))
    return float((shifted - plain).norm() / plain.norm().clamp(min=1e-30)) < 1e-2
