"""The hooks of one vLLM worker: each pass edits the tokens of the requests that ask for it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast, final

import torch
from torch import Tensor, nn

from fulcra.engines.vllm.plan import Geometry, PlainEdit, first_and_past
from fulcra.engines.vllm.rows import Stretch, Table, cached_states, stretches
from fulcra.engines.vllm.tokens import SPOILED

Hook = Callable[..., object]
#: Kind and layer of edits that act together; an ablation acts at every layer and stands at 0.
Place = tuple[str, int]


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
        self.read: dict[str, int] = {}
        self.groups: dict[Place, _Group] = {}
        self.composition: tuple[tuple[str, int], ...] = ()
        self.device = next(model.parameters()).device
        model.register_forward_pre_hook(self._pass, with_kwargs=True)
        downs = [model.get_submodule(name) for name in geometry["downs"]]
        self.rank, self.ranks = _share(downs[0])
        self.widths = [_inputs(down) for down in downs]
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
        self.read.pop(row, None)
        return self.edited.pop(row, [])

    def _pass(self, module: nn.Module, args: object, inputs: Mapping[str, Any]) -> None:
        _clean()
        dosed = [s for s in stretches(self.table, inputs) if s.named["edits"]]
        composition = tuple((s.named["row"], s.start) for s in dosed if self._goes_on(s))
        if not composition or composition != self.composition or len(composition) < len(dosed):
            self.settle()
            self.groups = self._grouped(dosed)
        # groups hold for the next pass only where each of their rows has one more token in it
        self.composition = composition if len(composition) == len(dosed) else ()
        for stretch in dosed:
            row = stretch.named["row"]
            self.read[row] = max(self.read.get(row, 0), stretch.at + stretch.length)

    def _goes_on(self, stretch: Stretch) -> bool:
        return stretch.replies and stretch.at == self.read.get(stretch.named["row"], 0)

    def _grouped(self, dosed: Sequence[Stretch]) -> dict[Place, _Group]:
        parts: dict[Place, _Part] = defaultdict(_Part)
        for stretch in dosed:
            edits = self.sets[stretch.named["edits"]].edits
            self.edited.setdefault(stretch.named["row"], [0] * len(edits))
            for place, edit in enumerate(edits):
                if self._is_here(edit):
                    self._add(parts[_place(edit)], stretch, place, edit)
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
        tokens = max(0, past - max(first, self.read.get(row, 0)))
        part.fresh.append(_Fresh(row, place, tokens))

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


def _clean() -> None:
    """Keys and values without the numbers that are not finite, where a row has left some there.

    vLLM hands its memory to the next row as it is, and what is masked there is read all the same.
    """
    if not SPOILED:
        return
    SPOILED.clear()
    for states in cached_states():
        states.nan_to_num_(0.0, 0.0, 0.0)


def _with_vectors(output: object, group: _Group) -> object:
    """What a module gave, vectors added to its first part."""
    wrote = cast(Tensor, output[0] if isinstance(output, tuple) else output)
    wrote = wrote.index_add(0, group.tokens, group.vectors.to(wrote.dtype))
    group.fired += 1
    return (wrote, *output[1:]) if isinstance(output, tuple) else wrote


def _place(edit: PlainEdit) -> Place:
    return edit["kind"], 0 if edit["kind"] == "ablate" else edit["layer"]


def _repeated(values: Tensor, counts: Tensor) -> Tensor:
    return values.repeat_interleave(counts, dim=0)


def _share(down: Any) -> tuple[int, int]:
    """This worker's place among those that share each layer, and how many they are."""
    return int(getattr(down, "tp_rank", 0)), int(getattr(down, "tp_size", 1))


def _inputs(down: Any) -> int:
    """How many neurons of a layer this worker holds."""
    return int(down.input_size_per_partition)
