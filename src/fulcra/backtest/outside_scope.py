"""Outside the law's stated scope: two neurons at once, several layers, a steering vector.

The same forecasts, the same measurement.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.backtest.split import LineageModel
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import CEILING_GAINS, LEVEL, TEXTS, edit_divergences
from fulcra.ladders.search import crossings
from fulcra.ladders.surprise_ladder import SURPRISED_SHARE, surprised_shares
from fulcra.protocol.collapse import Bench, DoseAt, measured_ceilings
from fulcra.protocol.progress import Progress
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.validation import StudySize
from fulcra.protocol.subject import Ground
from fulcra.store import read_json, write_json
from fulcra.types import Direction, Edit, Edits

#: The writes that are dosed together, for a layer to start from.
Maker = Callable[[Ground, int, random.Random], list[Coordinate]]


class OutsideRow(Value):
    """One joint write with its ceiling measured and predicted by both ladders [gain]."""

    kind: str
    lineage: str
    model: str
    layer: int
    layers: int
    neuron: str
    last: float
    measured: float | None
    predicted: dict[str, float | None]


class Joint(NamedTuple):
    """Writes that are dosed together, and how many first rungs all of them reach."""

    writes: Sequence[Coordinate]
    dose: DoseAt
    rungs: int

    @classmethod
    def of(cls, writes: Sequence[Coordinate]) -> "Joint":
        """The joint dose of these writes."""
        return cls(
            writes, partial(joint_dose, writes), min(write.rungs(CEILING_GAINS) for write in writes)
        )


def _neurons(ground: Ground, layers: Sequence[int], rng: random.Random) -> list[Coordinate]:
    """A random neuron and pole of each layer, no neuron twice."""
    model = ground.model
    slots = rng.sample(range(min(model.width(layer) for layer in layers)), len(layers))
    places = zip(layers, slots, strict=True)
    neurons = [model.neuron(layer, slot, rng.choice((1, -1))) for layer, slot in places]
    return [ground.coordinate(neuron) for neuron in neurons]


def two_neurons(ground: Ground, layer: int, rng: random.Random) -> list[Coordinate]:
    """Two neurons of one layer: w is the sum of their writes."""
    return _neurons(ground, (layer, layer), rng)


def several_layers(ground: Ground, layer: int, rng: random.Random) -> list[Coordinate]:
    """A neuron in each of up to three layers, upwards from this one."""
    return _neurons(ground, range(layer, min(layer + 3, ground.model.n_layers)), rng)


def steering_vector(ground: Ground, layer: int, rng: random.Random) -> list[Coordinate]:
    """A random vector written to the stream at the layer's output."""
    generator = torch.Generator().manual_seed(rng.randrange(1 << 31))
    vector: Tensor = torch.randn(ground.model.d_model, generator=generator)
    return [ground.coordinate(Direction(layer, "steering", vector))]


KINDS: dict[str, Maker] = {
    "two_neurons": two_neurons,
    "several_layers": several_layers,
    "steering_vector": steering_vector,
}


def joint_dose(writes: Sequence[Coordinate], gain: float) -> Edits:
    """All writes at gain / sqrt(n): orthogonal writes of one layer then sum to one of `gain`."""
    return tuple(write.dose(gain / math.sqrt(len(writes))) for write in writes)


def outside_rows(
    member: LineageModel, size: StudySize, path: Path, progress: Progress
) -> list[OutsideRow]:
    """Forecast and measured ceilings of joint writes from every layer; kept at `path`."""
    if not path.exists():
        bench = member.bench(member.ground(size.seed))
        rows = [row for kind in KINDS for row in _of_kind(member, bench, kind, size, progress)]
        write_json(path, [row.plain() for row in rows])
    return [OutsideRow.model_validate(entry) for entry in read_json(path)]


def _of_kind(
    member: LineageModel, bench: Bench, kind: str, size: StudySize, progress: Progress
) -> list[OutsideRow]:
    """As many joint writes of a kind from every layer as the study's size says."""
    model, ground = member.model, bench.ground
    rng = random.Random(f"{kind}-{size.seed}")
    layers = [layer for layer in range(model.n_layers) for _ in range(size.generality)]
    joints = [Joint.of(KINDS[kind](ground, layer, rng)) for layer in layers]
    progress.begin(f"{model.name} {kind}", len(joints))
    doses, rungs = [joint.dose for joint in joints], [joint.rungs for joint in joints]
    gains = measured_ceilings(bench, doses, rungs, size.seed)
    predicted = _predicted(ground, joints)
    progress.advance(len(joints))
    return [
        OutsideRow(
            kind=kind,
            lineage=member.lineage.name,
            model=model.name,
            layer=joint.writes[0].branch.layer,
            layers=model.n_layers,
            neuron="&".join(str(write.branch) for write in joint.writes),
            last=CEILING_GAINS[joint.rungs - 1],
            measured=gains[i],
            predicted={name: row[i] for name, row in predicted.items()},
        )
        for i, joint in enumerate(joints)
    ]


def _predicted(ground: Ground, joints: Sequence[Joint]) -> dict[str, list[float | None]]:
    """What both ladders say of joint doses, with their own levels."""
    text, level = ground.text.first(TEXTS), ground.standard.surprise_level

    def divergences(edits: Sequence[Edit | Edits]) -> Tensor:
        return edit_divergences(ground.model, edits, text)

    def surprises(edits: Sequence[Edit | Edits]) -> Tensor:
        return surprised_shares(ground.model, edits, text, level)

    return {
        "kl_ladder": _crossed(joints, divergences, LEVEL),
        "surprise_ladder": _crossed(joints, surprises, SURPRISED_SHARE),
    }


def _crossed(
    joints: Sequence[Joint], cost: Callable[[Sequence[Edit | Edits]], Tensor], level: float
) -> list[float | None]:
    """The gain at which each joint dose costs `level`; None beyond its ladder."""

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        costs: list[float] = cost(
            [joints[i].dose(CEILING_GAINS[rung]) for i, rung in pairs]
        ).tolist()
        return costs

    return crossings(measure, [joint.rungs for joint in joints], CEILING_GAINS, level)
