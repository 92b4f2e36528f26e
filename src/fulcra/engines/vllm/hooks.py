"""The hooks of one vLLM worker: each pass edits the tokens of the requests that ask for it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast, final

import torch
from torch import Tensor, nn

from fulcra.engines.vllm.plan import Geometry, Place, PlainEdit, first_and_past, place_of
from fulcra.engines.vllm.rows import (
    Readings,
    Stretch,
    Table,
    before_passes,
    cached_states,
    stretches,
)
from fulcra.engines.vllm.tokens import SPOILED

Hook = Callable[..., object]


class _Fresh(NamedTuple):
    """How many tokens an edit of a row meets for the first time in one pass."""

    row: str
    edit: int
    tokens: int


@dataclass(slots=True)
class _Group:
    """Edits of one kind at one layer in one pass; `fired` counts the modules they acted at.

    tokens [n] are rows of the pass; index, factor and shift [n] are those of neurons, vectors
    [n, d_model] those of the stream.
    """

    tokens: Tensor
    fresh: list[_Fresh]
    index: Tensor
    affine: Tensor
    vectors: Tensor
    fired: int = 0


@dataclass(slots=True)
class _Part:
    """A group while it is put together: how many tokens each edit has, and where they are."""

    tokens: list[Tensor] = field(default_factory=list)
    edits: list[tuple[str, int]] = field(default_factory=list)
    fresh: list[_Fresh] = field(default_factory=list)


@dataclass(slots=True)
class _Set:
    """An edit set: its edits, and the vectors [d_model] of those that have one."""

    edits: list[PlainEdit]
    vectors: list[Tensor]


@final
class Steering:
    """Hooks on a model, the edit sets that requests may name, and what was done for every row."""

    def __init__(self, table: Table, model: nn.Module, geometry: Geometry) -> None:
        self.table, self.width = table, geometry["d_model"]
        self.sets: dict[str, _Set] = {}
        self.edited: dict[str, list[int]] = {}
        self.readings = Readings()
        self.groups: dict[Place, _Group] = {}
        self.device = next(model.parameters()).device
        model.register_forward_pre_hook(self._pass, with_kwargs=True)
        downs = [model.get_submodule(name) for name in geometry["downs"]]
        self.rank, self.widths = rank_of(downs[0]), [width_of(down) for down in downs]
        for layer, down in enumerate(downs):
            down.register_forward_pre_hook(self._before_down(layer))
            down.register_forward_hook(self._after_down(layer))
        blocks = [model.get_submodule(name) for name in geometry["blocks"]]
        for layer, block in enumerate(blocks):
            block.register_forward_hook(self._after_block(layer))
        for reader in (blocks[0], *map(model.get_submodule, geometry["readers"])):
            reader.register_forward_pre_hook(self._before_reader, with_kwargs=True)

    def learn(self, sets: Mapping[str, list[PlainEdit]]) -> None:
        """Make these the edit sets that requests may name, by name."""
        self.sets = {
            name: _Set(
                edits, [torch.tensor(edit.get("vector", []), device=self.device) for edit in edits]
            )
            for name, edits in sets.items()
        }

    def settle(self) -> None:
        """Count what the groups of the last passes did."""
        for group in self.groups.values():
            for fresh in group.fresh if group.fired else ():
                self.edited[fresh.row][fresh.edit] += fresh.tokens * group.fired
            group.fired = 0

    def forget(self, row: str) -> list[int]:
        """How many tokens each edit of a row acted on; the row is over."""
        self.readings.forget(row)
        return self.edited.pop(row, [])

    def _pass(self, module: nn.Module, args: object, inputs: Mapping[str, Any]) -> None:
        clean_cache()
        dosed = [s for s in stretches(self.table, inputs) if s.named["edits"]]
        # groups hold for the next pass only where each of their rows has one more token in it
        if not self.readings.repeat(dosed):
            self.settle()
            self.groups = self._grouped(dosed)
        self.readings.advance(dosed)

    def _grouped(self, dosed: Sequence[Stretch]) -> dict[Place, _Group]:
        parts: dict[Place, _Part] = defaultdict(_Part)
        for stretch in dosed:
            edits = self.sets[stretch.named["edits"]].edits
            self.edited.setdefault(stretch.named["row"], [0] * len(edits))
            for place, edit in enumerate(edits):
                if self._is_here(edit):
                    self._add(parts[place_of(edit)], stretch, place, edit)
        return {place: self._group(part) for place, part in parts.items() if part.tokens}

    def _is_here(self, edit: PlainEdit) -> bool:
        return edit["kind"] != "neuron" or edit["index"] // self.widths[edit["layer"]] == self.rank

    def _add(self, part: _Part, stretch: Stretch, place: int, edit: PlainEdit) -> None:
        first, past = first_and_past(edit["positions"], stretch.named["prompt"])
        first, past = max(first, stretch.at), min(past, stretch.at + stretch.length)
        if first >= past:
            return
        row, shift = stretch.named["row"], stretch.start - stretch.at
        part.tokens.append(torch.arange(first + shift, past + shift))
        part.edits.append((stretch.named["edits"], place))
        part.fresh.append(_Fresh(row, place, self.readings.fresh(row, first, past)))

    def _group(self, part: _Part) -> _Group:
        counts = torch.tensor([len(tokens) for tokens in part.tokens])
        edits = [self.sets[name].edits[place] for name, place in part.edits]
        vectors = [self.sets[name].vectors[place] for name, place in part.edits]
        values = [(e.get("index", 0), e.get("factor", 1.0), e.get("shift", 0.0)) for e in edits]
        index, affine = [v[0] for v in values], [v[1:] for v in values]
        return _Group(
            torch.cat(part.tokens).to(self.device),
            part.fresh,
            _repeated(torch.tensor(index), counts).to(self.device),
            _repeated(torch.tensor(affine), counts).to(self.device),
            _repeated(torch.stack(vectors), counts.to(self.device)),
        )

    def _before_down(self, layer: int) -> Hook:
        width = self.widths[layer]

        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if (group := self.groups.get(("neuron", layer))) is None:
                return
            factor, shift = group.affine.to(args[0].dtype).unbind(-1)
            place = (group.tokens, group.index % width)
            args[0][place] = torch.addcmul(shift, args[0][place], factor)
            group.fired += 1

        return hook

    def _after_down(self, layer: int) -> Hook:
        def hook(module: nn.Module, args: object, output: object) -> object:
            group = self.groups.get(("mlp", layer))
            return None if group is None else _with_vectors(output, group)

        return hook

    def _after_block(self, layer: int) -> Hook:
        def hook(module: nn.Module, args: object, output: object) -> object:
            added, taken = self.groups.get(("block", layer)), self.groups.get(("ablate", 0))
            if added is not None:
                output = _with_vectors(output, added)
            if taken is not None:
                taken.fired += 1
                output = self._without(output, taken)
            return output

        return hook

    def _before_reader(
        self, module: nn.Module, args: tuple[object, ...], named: dict[str, object]
    ) -> tuple[object, dict[str, object]] | None:
        if (group := self.groups.get(("ablate", 0))) is None:
            return None
        group.fired += 1
        cleaned = {name: self._without(value, group) for name, value in named.items()}
        return self._without(args, group), cleaned

    def _without(self, value: object, group: _Group) -> object:
        """A stream, or the parts that sum to it, without the groups' unit vectors; all else as is.

        vLLM carries the stream in two parts; what is linear may be taken out of each.
        """
        if isinstance(value, tuple):
            return tuple(self._without(part, group) for part in value)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if value.shape[-1] != self.width:
            return value
        cleaned, unit = value.clone(), group.vectors.to(value.dtype)
        part = cleaned[group.tokens]
        cleaned[group.tokens] = part - (part * unit).sum(-1, keepdim=True) * unit
        return cleaned


def clean_cache() -> None:
    """Keys and values without the numbers that are not finite, where a row has left some there.

    vLLM hands its memory to the next row as it is, and what is masked there is read all the same.
    """
    if not SPOILED:
        return
    SPOILED.clear()
    for states in cached_states():
        states.nan_to_num_(0.0, 0.0, 0.0)


@final
class Unhooked:
    """No hook, where vLLM's own LoRA edits: rows carry no edit set, and nothing is counted."""

    def __init__(self, runner: Any, geometry: Geometry) -> None:
        downs = [runner.get_model().get_submodule(name).base_layer for name in geometry["downs"]]
        self.rank, self.widths = rank_of(downs[0]), [width_of(down) for down in downs]
        before_passes(runner, lambda inputs: clean_cache())

    def learn(self, sets: Mapping[str, list[PlainEdit]]) -> None:
        """Nothing is to be learned: requests name adapters."""

    def settle(self) -> None:
        """Nothing is to be counted here."""

    def forget(self, row: str) -> list[int]:
        """No count; the row is over."""
        return []


def _with_vectors(output: object, group: _Group) -> object:
    """What a module gave, vectors added to its first part."""
    wrote = cast(Tensor, output[0] if isinstance(output, tuple) else output)
    wrote = wrote.index_add(0, group.tokens, group.vectors.to(wrote.dtype))
    group.fired += 1
    return (wrote, *output[1:]) if isinstance(output, tuple) else wrote


def _repeated(values: Tensor, counts: Tensor) -> Tensor:
    return values.repeat_interleave(counts, dim=0)


def rank_of(down: Any) -> int:
    """This worker's place among those that share each layer."""
    return int(getattr(down, "tp_rank", 0))


def width_of(down: Any) -> int:
    """How many neurons of a layer this worker holds."""
    return int(down.input_size_per_partition)
