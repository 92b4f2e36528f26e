"""Outside the law's stated scope: two neurons at once, several layers, a steering vector; the same
forecasts, the same measurement.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fulcra.backtest.ceilings import Plan, bench_of, openings_of
from fulcra.backtest.split import Lineage
from fulcra.behaviors.splits import N_GENERIC
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import GAINS, LEVEL, TEXTS, edit_divergences
from fulcra.ladders.search import crossings
from fulcra.ladders.surprise_ladder import SHARE, surprised_shares
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.protocol.collapse import Dose, measured_ceilings
from fulcra.protocol.progress import Progress
from fulcra.protocol.subject import Ground, ground_of
from fulcra.store import read_json, write_json
from fulcra.types import Direction, Edit, Edits

Row = dict[str, Any]
#: The writes that are dosed together, for a layer to start from.
Maker = Callable[[Model, Ground, int, random.Random], list[Coordinate]]


def _neurons(
    model: Model, ground: Ground, layers: Sequence[int], rng: random.Random
) -> list[Coordinate]:
    """A random neuron and pole of each layer, no neuron twice."""
    slots = rng.sample(range(min(model.width(layer) for layer in layers)), len(layers))
    named = [
        model.neuron(layer, slot, rng.choice((1, -1)))
        for layer, slot in zip(layers, slots, strict=True)
    ]
    return [coordinate(model, ground.clean, neuron) for neuron in named]


def two_neurons(model: Model, ground: Ground, layer: int, rng: random.Random) -> list[Coordinate]:
    """Two neurons of one layer: w is the sum of their writes."""
    return _neurons(model, ground, (layer, layer), rng)


def several_layers(
    model: Model, ground: Ground, layer: int, rng: random.Random
) -> list[Coordinate]:
    """A neuron in each of up to three layers, upwards from this one."""
    return _neurons(model, ground, range(layer, min(layer + 3, model.n_layers)), rng)


def steering_vector(
    model: Model, ground: Ground, layer: int, rng: random.Random
) -> list[Coordinate]:
    """A random vector written to the stream at the layer's output."""
    vector: Tensor = torch.randn(
        model.d_model, generator=torch.Generator().manual_seed(rng.randrange(1 << 31))
    )
    return [coordinate(model, ground.clean, Direction(layer, "steering", vector))]


KINDS: dict[str, Maker] = {
    "two_neurons": two_neurons,
    "several_layers": several_layers,
    "steering_vector": steering_vector,
}


def joint_dose(writes: Sequence[Coordinate], gain: float) -> Edits:
    """All writes at gain / sqrt(n): orthogonal writes of one layer then sum to one of `gain`."""
    return tuple(at.dose(gain / math.sqrt(len(writes))) for at in writes)


def generality_rows(
    model: Model,
    reference: Model | None,
    lineage: Lineage,
    plan: Plan,
    path: Path,
    progress: Progress,
) -> list[Row]:
    """Forecast and measured ceilings of writes that are no single neuron's, from every layer; kept
    at `path`.
    """
    if path.exists():
        return list(read_json(path))
    openings = openings_of(lineage)
    ground = ground_of(model, openings[:N_GENERIC], plan.seed, reference=reference)
    bench, rows = bench_of(model, ground, openings), []
    for kind, make in KINDS.items():
        rng = random.Random(f"{kind}-{plan.seed}")
        joint = [
            make(model, ground, layer, rng)
            for layer in range(model.n_layers)
            for _ in range(plan.neurons)
        ]
        progress.begin(f"{model.name} {kind}", len(joint))
        doses, rungs = (
            [partial(joint_dose, writes) for writes in joint],
            [min(at.rungs(GAINS) for at in writes) for writes in joint],
        )
        measured, predicted = (
            measured_ceilings(bench, doses, rungs, plan.seed),
            _predicted(model, ground, doses, rungs),
        )
        for i, (writes, gain) in enumerate(zip(joint, measured, strict=True)):
            rows.append(
                _row(
                    lineage,
                    model,
                    kind,
                    writes,
                    gain,
                    GAINS[rungs[i] - 1],
                    {name: found[i] for name, found in predicted.items()},
                )
            )
        progress.advance(len(joint))
    write_json(path, rows)
    return rows


def _predicted(
    model: Model, ground: Ground, doses: Sequence[Dose], rungs: Sequence[int]
) -> dict[str, list[float | None]]:
    """What both ladders say of joint doses, with their own levels."""
    text, level = ground.text.first(TEXTS), ground.standard.surprise_level

    def climb(cost: Callable[[Sequence[Edit | Edits]], Tensor], at: float) -> list[float | None]:
        return crossings(
            lambda pairs: cost([doses[one](GAINS[rung]) for one, rung in pairs]).tolist(),
            rungs,
            GAINS,
            at,
        )

    return {
        "kl_ladder": climb(lambda edits: edit_divergences(model, edits, text), LEVEL),
        "surprise_ladder": climb(lambda edits: surprised_shares(model, edits, text, level), SHARE),
    }


def _row(
    lineage: Lineage,
    model: Model,
    kind: str,
    writes: Sequence[Coordinate],
    gain: float | None,
    last: float,
    predicted: Row,
) -> Row:
    name, layer = "&".join(str(at.branch) for at in writes), writes[0].branch.layer
    known = {
        "kind": kind,
        "lineage": lineage.name,
        "model": model.name,
        "layer": layer,
        "layers": model.n_layers,
        "neuron": name,
    }
    return {**known, "last": last, "measured": gain, "predicted": predicted}
