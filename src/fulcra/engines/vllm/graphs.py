"""A vLLM worker whose compiled graphs hold the edits (`worker_cls`): put in before it compiles.

vLLM imports this by name; it needs vLLM to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

import torch
from torch import Tensor, nn
from vllm.platforms import current_platform

from fulcra.engines.vllm.edit_op import Affine
from fulcra.engines.vllm.hooks import clean_cache, rank_of, width_of
from fulcra.engines.vllm.plan import Geometry, Place, PlainEdit, firings, place_of
from fulcra.engines.vllm.rows import (
    FirstTable,
    Readings,
    Stretch,
    Table,
    before_passes,
    stretches,
)
from fulcra.engines.vllm.sites import Capacity, spliced
from fulcra.engines.vllm.worker import Extension
from fulcra.types import Positions

if TYPE_CHECKING or not current_platform.is_cpu():
    from vllm.v1.worker.gpu_worker import Worker
else:
    from vllm.v1.worker.cpu_worker import CPUWorker as Worker

#: An edit by its place in its set.
Placed = tuple[int, PlainEdit]


class _Part(NamedTuple):
    """An edit of a row in a slot of the pass; so many of its acts there were counted `before`."""

    slot: int
    row: str
    edit: int
    before: int


@dataclass(slots=True)
class _Pass:
    """What is written before a pass: the slot of each token [token], what slots do by place.

    A slot's vectors are rows of the bank, whose first is `vectors[0]` in row 1. `used` slots are
    in use; `parts` says whose acts are counted where.
    """

    slots: Tensor
    neurons: dict[Place, dict[int, list[Affine]]] = field(default_factory=dict)
    which: dict[Place, dict[int, int]] = field(default_factory=dict)
    rows: dict[tuple[str, Place, tuple[int, ...]], int] = field(default_factory=dict)
    vectors: list[Tensor] = field(default_factory=list)
    parts: dict[Place, list[_Part]] = field(default_factory=dict)
    used: int = 1


@final
class Spliced:
    """The operators in a model, the edit sets that requests may name, what was done for each row.

    Only the contents of its buffers change from pass to pass.
    """

    def __init__(
        self, table: Table, model: nn.Module, geometry: Geometry, capacity: Capacity
    ) -> None:
        downs = [model.get_submodule(name) for name in geometry["downs"]]
        self.table, self.readings = table, Readings()
        self.sets: Mapping[str, list[PlainEdit]] = {}
        self.edited: dict[str, list[int]] = {}
        self.rank, self.widths = rank_of(downs[0]), [width_of(down) for down in downs]
        self.sites = spliced(model, geometry, capacity)
        self.last = _Pass(self.sites.memory.slots)

    def learn(self, sets: Mapping[str, list[PlainEdit]]) -> None:
        """Make these the edit sets that requests may name, by name."""
        self.sets = sets

    def settle(self) -> None:
        """Count what the operators of the last passes did."""
        for place, parts in self.last.parts.items():
            acted = self.sites.acted(place)
            counts: list[int] = acted[: self.last.used].tolist()
            acted.zero_()
            for part in parts:
                # a row that is over has no more tokens in a slot
                if counts[part.slot]:
                    self.edited[part.row][part.edit] += counts[part.slot] - part.before
            parts[:] = [part._replace(before=0) for part in parts]

    def forget(self, row: str) -> list[int]:
        """How many tokens each edit of a row acted on; the row is over."""
        self.readings.forget(row)
        return self.edited.pop(row, [])

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        """Write into the buffers what a pass needs; inputs: what the model is called with."""
        clean_cache()
        dosed = [s for s in stretches(self.table, inputs) if s.named["edits"]]
        if not self.readings.repeat(dosed) and (dosed or self.last.parts):
            self.settle()
            self._write(dosed)
        self.readings.advance(dosed)

    def _write(self, dosed: Sequence[Stretch]) -> None:
        memory, last = self.sites.memory, self.last
        now = _Pass(torch.zeros(len(memory.slots), dtype=torch.long))
        for stretch in dosed:
            self._add(now, stretch)
        slots = max(last.used, now.used)
        for place in {**last.neurons, **now.neurons}:
            self.sites.neurons[place].write(now.neurons.get(place, {}), slots)
        for place in {**last.which, **now.which}:
            self.sites.vectors[place].write(now.which.get(place, {}), slots)
        if now.vectors:
            memory.bank[1 : 1 + len(now.vectors)].copy_(torch.stack(now.vectors))
        memory.slots.copy_(now.slots)
        self.last = now

    def _add(self, now: _Pass, stretch: Stretch) -> None:
        """Slots for the tokens of a stretch, one for those that its edits meet alike."""
        edits, row = self.sets[stretch.named["edits"]], stretch.named["row"]
        self.edited.setdefault(row, [0] * len(edits))
        shift = stretch.start - stretch.at
        for scopes, begins, ends in stages(stretch.named["prompt"]):
            first, past = max(begins, stretch.at), min(ends, stretch.at + stretch.length)
            met = self._met(edits, scopes) if first < past else []
            if not met:
                continue
            now.slots[first + shift : past + shift] = now.used
            self._fill(now, stretch.named["edits"], met)
            again = past - first - self.readings.fresh(row, first, past)
            for i, edit in met:
                before = again * firings(edit, len(self.widths))
                part = _Part(now.used, row, i, before)
                now.parts.setdefault(place_of(edit), []).append(part)
            now.used += 1

    def _met(self, edits: Sequence[PlainEdit], scopes: tuple[Positions, ...]) -> list[Placed]:
        """The edits of these scopes that this worker has a part in."""
        here = enumerate(edits)
        return [
            (i, edit) for i, edit in here if edit["positions"] in scopes and self._is_here(edit)
        ]

    def _is_here(self, edit: PlainEdit) -> bool:
        return edit["kind"] != "neuron" or edit["index"] // self.widths[edit["layer"]] == self.rank

    def _fill(self, now: _Pass, name: str, met: Sequence[Placed]) -> None:
        """What the next slot does at every place: the edits of a set that meet its tokens."""
        by_place: dict[Place, list[Placed]] = {}
        for i, edit in met:
            by_place.setdefault(place_of(edit), []).append((i, edit))
        for place, here in by_place.items():
            if place[0] == "neuron":
                affine = [self._affine(edit) for _, edit in here]
                now.neurons.setdefault(place, {})[now.used] = affine
                continue
            key = (name, place, tuple(i for i, _ in here))
            if key not in now.rows:
                now.vectors.append(torch.tensor([edit["vector"] for _, edit in here]).sum(0))
                now.rows[key] = len(now.vectors)
            now.which.setdefault(place, {})[now.used] = now.rows[key]

    def _affine(self, edit: PlainEdit) -> Affine:
        index = edit["index"] % self.widths[edit["layer"]]
        return Affine(index, edit["factor"], edit["shift"])


def stages(prompt: int) -> tuple[tuple[tuple[Positions, ...], int, int], ...]:
    """For each stage of a text with a prompt so long: the scopes that meet it, first and past."""
    return (
        (("all", "prompt"), 0, prompt - 1),
        (("all", "prompt", "last"), prompt - 1, prompt),
        (("all", "generated"), prompt, 1 << 62),
    )


class GraphWorker(Worker, Extension):  # type: ignore[misc]  # vLLM is not always there
    """The platform's own worker; its model has the operators in it before anything compiles it.

    The extension is named here, since vLLM mixes it into a class once, and may have into the base.
    """

    model_runner: Any

    def load_model(self, *, load_dummy_weights: bool = False) -> None:
        """Load the model, put the operators in, and prepare every pass before it runs."""
        super().load_model(load_dummy_weights=load_dummy_weights)
        runner = self.model_runner
        geometry = cast(Geometry, self.vllm_config.additional_config["fulcra"]["geometry"])
        capacity = Capacity(runner.max_num_tokens, runner.max_num_reqs)
        self.fulcra = Spliced(FirstTable(runner), runner.get_model(), geometry, capacity)
        before_passes(runner, self.fulcra.prepare)
