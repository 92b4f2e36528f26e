"""Ceilings of random branches, layer by layer: predicted by every method, measured, measured again
where noise is asked for.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fulcra.backtest.split import Lineage
from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.splits import N_GENERIC
from fulcra.behaviors.world_behavior import generic_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import GAINS, TEXTS, edit_divergences
from fulcra.law.predictors import CEILINGS, Seen
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.protocol.collapse import Bench, Dose, measured_ceilings
from fulcra.protocol.progress import Progress
from fulcra.protocol.subject import Ground, ground_of
from fulcra.screens.candidates import can_move
from fulcra.store import RunFolder, plain, read_json, write_json
from fulcra.types import Edits

#: Branches measured and stored together.
PART = 32
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many neurons a layer, both poles each; every `retest`-th branch is measured again; the
    seed.
    """

    neurons: int
    retest: int = 5
    seed: int = 0


def openings_of(lineage: Lineage) -> tuple[str, ...]:
    """The generic openings that models of the lineage can read."""
    return OPENINGS if lineage.openings == "plain" else generic_openings(lineage.world)


def bench_of(model: Model, ground: Ground, openings: Sequence[str]) -> Bench:
    """What ceilings are measured on: the openings that served no prediction."""
    return Bench(
        model,
        tuple(model.prompt_ids(text) for text in openings[N_GENERIC:]),
        ground.reference,
        ground.standard,
    )


def drawn_by_layer(model: Model, ground: Ground, plan: Plan) -> list[Coordinate]:
    """Both poles of random neurons, as many in every layer, whose dose can move the stream to the
    first rung.
    """
    found = []
    for layer in range(model.n_layers):
        rng = random.Random(f"ceilings-{plan.seed}-{layer}")
        kept = 0
        for slot in rng.sample(range(model.width(layer)), model.width(layer)):
            neuron = model.neuron(layer, slot)
            if kept == plan.neurons or not can_move(model, ground.clean, neuron):
                continue
            poles = [coordinate(model, ground.clean, pole) for pole in (neuron, neuron.opposite)]
            if all(at.reaches(GAINS[0]) for at in poles):
                found += poles
                kept += 1
    return found


def ceiling_rows(
    model: Model,
    reference: Model | None,
    lineage: Lineage,
    plan: Plan,
    folder: RunFolder,
    progress: Progress,
) -> list[Row]:
    """One row a branch, in parts that an interrupted study goes on with; empty where the model
    collapses undosed.
    """
    openings = openings_of(lineage)
    ground = ground_of(model, openings[:N_GENERIC], plan.seed, reference=reference)
    bench = bench_of(model, ground, openings)
    if bench.lost([()], plan.seed)[0] > 0.5:
        return []
    branches = drawn_by_layer(model, ground, plan)
    progress.begin(f"{model.name} ceilings", len(branches))
    rows: list[Row] = []
    for number, start in enumerate(range(0, len(branches), PART)):
        some, path = (
            branches[start : start + PART],
            folder.path / "parts" / f"ceilings-{number}.json",
        )
        if not path.exists():
            write_json(path, list(_rows(model, ground, bench, some, plan, start)))
        rows += read_json(path)
        progress.advance(len(some))
    return [
        {"lineage": lineage.name, "recipe": lineage.recipe, "model": model.name, **row}
        for row in rows
    ]


def _dosed(at: Coordinate, gain: float) -> Edits:
    return (at.dose(gain),)


def _rows(
    model: Model,
    ground: Ground,
    bench: Bench,
    branches: Sequence[Coordinate],
    plan: Plan,
    start: int,
) -> Iterator[Row]:
    seen = Seen(ground.text, ground.clean, ground.standard)
    predicted = {one.name: [edge.gain for edge in one(model, branches, seen)] for one in CEILINGS}
    doses, rungs = [partial(_dosed, at) for at in branches], [at.rungs(GAINS) for at in branches]
    measured = measured_ceilings(bench, doses, rungs, plan.seed)
    again = [i for i in range(len(branches)) if (start + i) % plan.retest == 0]
    repeats = dict(
        zip(
            again,
            _again(bench, [doses[i] for i in again], [rungs[i] for i in again], plan.seed),
            strict=True,
        )
    )
    spent = _divergences(model, ground, branches, measured)
    for i, (at, gain, nats) in enumerate(zip(branches, measured, spent, strict=True)):
        yield {
            "branch": str(at.branch),
            "neuron": str(at.branch)[:-1],
            "layer": at.branch.layer,
            "layers": model.n_layers,
            "last": GAINS[rungs[i] - 1],
            "budget": at.budget,
            "residual": float(ground.clean.norm[at.branch.layer]),
            "alignment0": at.alignment0,
            "measured": gain,
            "kl_at_ceiling": nats,
            "repeats": repeats.get(i),
            "predicted": {name: gains[i] for name, gains in predicted.items()},
        }


def _again(
    bench: Bench, doses: Sequence[Dose], rungs: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Each branch measured with other luck on the same prompts (`retest`), and on each half of the
    prompts (`halves`).
    """
    halves = [replace(bench, prompts=bench.prompts[half::2]) for half in (0, 1)]
    retest = measured_ceilings(bench, doses, rungs, seed + 1)
    even, odd = (
        measured_ceilings(half, doses, rungs, seed + 2 + i) for i, half in enumerate(halves)
    )
    return [{"retest": one, "halves": [a, b]} for one, a, b in zip(retest, even, odd, strict=True)]


def _divergences(
    model: Model, ground: Ground, branches: Sequence[Coordinate], gains: Sequence[float | None]
) -> list[float | None]:
    """KL(clean || dosed) at each measured ceiling, nats a token; None beyond the ladder."""
    doses = [at.dose(gain) for at, gain in zip(branches, gains, strict=True) if gain is not None]
    found = iter(edit_divergences(model, doses, ground.text.first(TEXTS)).tolist() if doses else [])
    return [None if gain is None else plain(next(found)) for gain in gains]
