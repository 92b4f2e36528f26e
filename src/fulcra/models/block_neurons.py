"""The neurons of one traced block: which map of it writes them, held to laws by changed calls.

The map's input is changed alone: it must move the block's output by its own column, through a norm
or none, times one number at every token; its input must be neurons, each made from its own
pre-activation and not linearly; and what it adds must be all that stands between the stream that
its MLP reads and the block's output. Anything else is refused by name.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fulcra.errors import ModelError
from fulcra.models.experts import expert_width
from fulcra.models.replay import Block, Call, Planted, flat, shift_free

#: Relative distance that rounding explains in float32.
ROUNDING = 1e-4
#: Changes of a neuron, in lengths of the stream.
GAINS = (1.0, -0.4)


class Writer(NamedTuple):
    """A map into the stream that obeys the law: its call, the norm after it, its multiplier."""

    call: Call
    norm: Call | None
    multiplier: float


class BlockNeurons(NamedTuple):
    """What one block says of a family row, by paths inside the block.

    `writer` is the down projection, or the fused experts of a `mixture`; `width` the neurons, of
    one expert; `centred` whether the block reads the stream less its mean.
    """

    writer: str
    mixture: bool
    transposed: bool
    width: int
    post_norm: str | None
    mlp_reads: str
    parallel: bool
    centred: bool


def block_neurons(block: Block) -> BlockNeurons:
    """What a block's neurons are; ModelError says which law nothing in it obeys."""
    calls = block.calls()
    tried = [_lawful(block, calls, call) for call in _candidates(block, calls)]
    writers = [writer for writer in tried if writer is not None]
    if not writers:
        raise ModelError(
            f"{block.path} holds no map whose input moves the stream by its own column alone"
        )
    readers = [(writer, _reader(block, calls, writer)) for writer in writers]
    single = [(writer, *reader) for writer, reader in readers if reader is not None]
    if not single:
        raise ModelError(
            f"{block.path}.{writers[0].call.path} is not all that an MLP adds to the stream that it"
            " reads, token by token"
        )
    if len(single) > 1:
        both = " and ".join(writer.call.path for writer, *_ in single)
        raise ModelError(f"{block.path} holds several maps of neurons: {both}")
    return _described(block, calls, *single[0])


def _described(
    block: Block, calls: dict[str, Call], writer: Writer, mlp_reads: str, parallel: bool
) -> BlockNeurons:
    call, mixture = writer.call, _is_mixture(writer.call)
    if not mixture:
        _require_neurons(block, calls, call, calls[mlp_reads].order)
    return BlockNeurons(
        call.path,
        mixture,
        not mixture and _is_transposed(call),
        expert_width(call.module) if mixture else call.read.shape[-1],
        writer.norm.path if writer.norm else None,
        mlp_reads,
        parallel,
        _reads_centred(block, calls),
    )


def _reads_centred(block: Block, calls: dict[str, Call]) -> bool:
    """Whether the first single module that reads the block's input reads it less its mean."""
    readers = [
        call.module
        for call in calls.values()
        if call.path and call.positional and not list(call.module.children())
        if call.read.shape == block.before.shape and relative(call.read, block.before) < ROUNDING
    ]
    return bool(readers) and not _has_matrix(readers[0]) and shift_free(readers[0], block.before)


def _has_matrix(module: nn.Module) -> bool:
    return any(weight.dim() > 1 for weight in module.parameters())


def _candidates(block: Block, calls: dict[str, Call]) -> Iterator[Call]:
    """Linear maps into the stream and fused experts, the last call first."""
    d_model = block.after.shape[-1]
    for call in sorted(calls.values(), key=lambda call: -call.order):
        whole = call.wrote.shape == block.after.shape and call.read.shape[0] == len(block.after)
        if whole and call.positional and (_is_mixture(call) or _is_linear(call, d_model)):
            yield call


def _is_linear(call: Call, d_model: int) -> bool:
    weight = getattr(call.module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.dim() != 2:
        return False
    shape = (call.read.shape[-1], d_model)
    return tuple(weight.shape) in (shape, shape[::-1]) and not list(call.module.children())


def _is_transposed(call: Call) -> bool:
    """Whether a weight is stored [d_mlp, d_model], as that of a Conv1D is."""
    return hasattr(call.module, "nx")


def _is_mixture(call: Call) -> bool:
    """Whether a module holds fused gated experts and was called with tokens, ids and weights."""
    module: Any = call.module
    weight = getattr(module, "down_proj", None)
    return (
        isinstance(weight, Tensor)
        and weight.dim() == 3
        and hasattr(module, "gate_up_proj")
        and hasattr(module, "num_experts")
        and hasattr(module, "is_transposed")
        and len(call.rest) == 2
    )


def _column(call: Call, index: int) -> Tensor:
    """The write of one neuron of a map, or of one expert's, [d_model]."""
    module: Any = call.module
    mixture = _is_mixture(call)
    weight: Tensor = (module.down_proj[0] if mixture else module.weight).detach()
    rows = module.is_transposed if mixture else _is_transposed(call)
    return (weight[index] if rows else weight[:, index]).float()


def relative(values: Tensor, expected: Tensor) -> float:
    """The relative distance of values from what they should be."""
    return float((values - expected).norm() / expected.norm().clamp(min=1e-30))


def _proportional(values: Tensor, expected: Tensor) -> bool:
    """Whether values are expected ones times one number that is not zero."""
    if values.shape != expected.shape:
        return False
    factor = (values * expected).sum() / (expected * expected).sum().clamp(min=1e-30)
    return bool(factor.abs() > 1e-6) and relative(values, factor * expected) < ROUNDING


def _lawful(block: Block, calls: dict[str, Call], call: Call) -> Writer | None:
    """The map as a writer, where the block's output moves by its column, times one number."""
    moves = list(_moves(block, calls, call))
    norms = [other for other in calls.values() if _is_norm_after(other, call)]
    for norm in (None, *sorted(norms, key=lambda other: other.order)):
        factor = _multiplier(moves, call, norm)
        if factor is not None:
            return Writer(call, norm, factor)
    return None


def _is_norm_after(other: Call, call: Call) -> bool:
    """Whether a module without matrices reads just what the map wrote, and changes it."""
    return (
        other.order > call.order
        and other.positional
        and not _has_matrix(other.module)
        and other.wrote.shape == call.wrote.shape == other.read.shape
        and relative(other.read, call.wrote) < ROUNDING
        and relative(other.wrote, call.wrote) > ROUNDING
    )


class Move(NamedTuple):
    """What a map writes when one neuron is raised, and the change of the block's output."""

    wrote: Tensor
    moved: Tensor


def _moves(block: Block, calls: dict[str, Call], call: Call) -> Iterator[Move]:
    """A map's moves under two doses; none where it does not write its column alone."""
    width = expert_width(call.module) if _is_mixture(call) else call.read.shape[-1]
    size = float(block.after.norm(dim=-1).mean())
    for gain, part in zip(GAINS, (2, 3), strict=True):
        index = width // part
        column = _column(call, index)
        alpha = gain * size / float(column.norm().clamp(min=1e-30))
        dosed = block.calls(_dose(call, index, alpha, column))
        wrote = call.wrote + alpha * column
        if "" not in dosed or call.path not in dosed:
            return
        if not _is_mixture(call) and relative(dosed[call.path].wrote, wrote) > ROUNDING:
            return
        yield Move(wrote, dosed[""].wrote - calls[""].wrote)


@torch.no_grad()
def _multiplier(moves: list[Move], call: Call, norm: Call | None) -> float | None:
    """The one number between what a map writes and the stream; None where there is none."""
    if len(moves) < len(GAINS):
        return None
    moved = torch.stack([move.moved for move in moves])
    clean = _through(norm, call.wrote)
    expected = torch.stack([_through(norm, move.wrote) - clean for move in moves])
    if not bool(moved.isfinite().all()) or not _proportional(moved, expected):
        return None
    return float((moved * expected).sum() / (expected * expected).sum())


def _dose(call: Call, index: int, alpha: float, column: Tensor) -> Planted:
    """A neuron's activation raised by alpha at every token; of experts, what it would write."""
    if _is_mixture(call):
        return Planted(call.path, lambda wrote: wrote + alpha * column, at_output=True)

    def raised(read: Tensor) -> Tensor:
        read[..., index] += alpha
        return read

    return Planted(call.path, raised)


def _through(norm: Call | None, values: Tensor) -> Tensor:
    return values if norm is None else flat(norm.module(values[None]))


def _reader(block: Block, calls: dict[str, Call], writer: Writer) -> tuple[str, bool] | None:
    """Where the MLP reads the stream, and whether attention reads it there too.

    None where the block's output is not the stream that is read and what the map writes, or where
    the map's input rests on other tokens.
    """
    middle = calls[""].wrote - writer.multiplier * _through(writer.norm, writer.call.wrote)
    earlier = sorted(
        (call for call in calls.values() if call.path and call.order <= writer.call.order),
        key=lambda call: call.order,
    )
    for stream, parallel in ((middle, False), (calls[""].read, True)):
        if parallel and not _others_add_the_rest(calls, writer, middle):
            continue
        for call in earlier:
            if not call.positional or not _proportional(call.read, stream):
                continue
            if _token_by_token(block, writer.call, call.path):
                return call.path, parallel
    return None


def _others_add_the_rest(calls: dict[str, Call], writer: Writer, middle: Tensor) -> bool:
    """Whether one other map wrote all that a parallel block adds beside its MLP."""
    rest = middle - calls[""].read
    others = (call for call in calls.values() if call.path not in ("", writer.call.path))
    return any(_proportional(call.wrote, rest) and _mixes(call) for call in others)


def _mixes(call: Call) -> bool:
    """Whether a module is a single map or dropout, not one that could hold an MLP of its own."""
    return not list(call.module.children())


def _token_by_token(block: Block, call: Call, path: str) -> bool:
    """Whether the map's input at the last token rests on what `path` reads there, and there only.

    Both ends of the text are changed in turn.
    """
    changed = []
    for tokens in (slice(None, -1), slice(-1, None)):

        def other(read: Tensor, tokens: slice = tokens) -> Tensor:
            part = read.view(-1, read.shape[-1])[tokens]
            part.copy_(part.flip(-1) * 1.7 + part.abs().mean())
            return read

        changed_calls = block.calls(Planted(path, other)).get(call.path)
        if changed_calls is None:
            return False
        changed.append(relative(changed_calls.read[-1], call.read[-1]))
    return changed[0] < ROUNDING < changed[1]


def _require_neurons(block: Block, calls: dict[str, Call], down: Call, first: int) -> None:
    """ModelError unless the map's input is neurons: each of its own pre-activation, not linear.

    A pre-activation is a column that some map writes on the way, alone or side by side with
    another one of the same neuron.
    """
    place, width = f"{block.path}.{down.path}", down.read.shape[-1]
    bent = False
    for call in calls.values():
        between = first <= call.order < down.order and call.wrote.shape[0] == len(down.read)
        if not (between and call.wrote.shape[-1] in (width, 2 * width) and _is_map(call)):
            continue
        moved = [_answer(block, call, down, gain) for gain in (1.0, 2.0, -1.0)]
        if max(float(change.abs().max()) for change in moved) < ROUNDING:
            continue
        if any(int((change.abs() > ROUNDING * change.abs().max()).sum()) > 1 for change in moved):
            raise ModelError(
                f"the input of {place} is no neurons: one column of {call.path} moves several"
            )
        bent = bent or relative(moved[1], 2 * moved[0]) > ROUNDING
        bent = bent or relative(moved[2], -moved[0]) > ROUNDING
    if not bent:
        raise ModelError(
            f"the input of {place} is no neurons: no map on the way to it has an activation of its"
            " own for every column"
        )


def _is_map(call: Call) -> bool:
    weight = getattr(call.module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not list(call.module.children())


def _answer(block: Block, call: Call, down: Call, gain: float) -> Tensor:
    """The change of the down projection's input at the last token when one column is raised."""
    index = call.wrote.shape[-1] // 3
    step = gain * float(call.wrote.norm(dim=-1).mean())

    def raised(wrote: Tensor) -> Tensor:
        changed = wrote.clone()
        changed.view(-1, changed.shape[-1])[-1, index] += step
        return changed

    changed_calls = block.calls(Planted(call.path, raised, at_output=True))
    return changed_calls[down.path].read[-1] - down.read[-1]
