"""Ceilings of random branches, layer by layer: predicted by every method, measured, some again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NamedTuple

from fulcra.backtest.noise import site
from fulcra.backtest.split import LineageModel
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import CEILING_GAINS, TEXTS, edit_divergences
from fulcra.protocol.collapse import Bench, DoseAt, measured_ceilings
from fulcra.protocol.draw import both_poles, movers
from fulcra.protocol.predictors import CEILINGS, ROLLED
from fulcra.protocol.progress import Progress
from fulcra.protocol.results.validation import CeilingRow, Repeats, StudySize
from fulcra.protocol.subject import Ground
from fulcra.store import RunFolder, read_json, write_json
from fulcra.types import Edits

#: Branches measured and stored together; one branch in RETEST is measured again.
PART, RETEST = 32, 5
METHODS = tuple(predictor.name for predictor in CEILINGS)


class Forecasts(NamedTuple):
    """Branches with their ceilings by every method [gain]."""

    branches: Sequence[Coordinate]
    gains: Mapping[str, Sequence[float | None]]


class Ceilings(NamedTuple):
    """The branches of one part, their ladders, and their measured ceilings [gain]."""

    branches: Sequence[Coordinate]
    doses: Sequence[DoseAt]
    rungs: Sequence[int]
    gains: Sequence[float | None]


def drawn_by_layer(ground: Ground, neurons: int, seed: int) -> list[Coordinate]:
    """Both poles of random neurons, as many in every layer, that can reach the first rung."""
    model, branches = ground.model, []
    for layer in range(model.n_layers):
        rng = random.Random(f"ceilings-{seed}-{layer}")
        slots = rng.sample(range(model.width(layer)), model.width(layer))
        shuffled = map(partial(model.neuron, layer), slots)
        branches += both_poles(ground, islice(movers(ground, shuffled, CEILING_GAINS[0]), neurons))
    return branches


def ceiling_rows(
    member: LineageModel,
    size: StudySize,
    folder: RunFolder,
    progress: Progress,
    methods: Sequence[str] = METHODS,
) -> list[CeilingRow]:
    """One row a branch, part by part in `folder`; none where the model collapses undosed."""
    ground = member.ground(size.seed)
    bench = member.bench(ground)
    if bench.lost([()], size.seed)[0] > 0.5:
        return []
    branches = drawn_by_layer(ground, size.neurons, size.seed)
    progress.begin(f"{member.model.name} ceilings", len(branches))
    rows: list[CeilingRow] = []
    for number, start in enumerate(range(0, len(branches), PART)):
        part = branches[start : start + PART]
        path = folder.path / "parts" / f"ceilings-{number}.json"
        if not path.exists():
            again = [i for i in range(len(part)) if (start + i) % RETEST == 0]
            edges = predicted(ground, part, methods)
            made = measured_rows(member, bench, Forecasts(part, edges), again, size.seed)
            write_json(path, [row.plain() for row in made])
        rows += map(CeilingRow.model_validate, read_json(path))
        progress.advance(len(part))
    return rows


def _dosed(coordinate: Coordinate, gain: float) -> Edits:
    return (coordinate.dose(gain),)


def predicted(
    ground: Ground, branches: Sequence[Coordinate], methods: Sequence[str] = METHODS
) -> dict[str, list[float | None]]:
    """The ceiling of every branch by each method [gain]; None beyond the ladder."""
    chosen = [predictor for predictor in (*CEILINGS, *ROLLED) if predictor.name in methods]
    return {p.name: [edge.gain for edge in p.edges(ground, branches)] for p in chosen}


def measured_rows(
    member: LineageModel,
    bench: Bench,
    forecasts: Forecasts,
    again: Sequence[int],
    seed: int,
) -> list[CeilingRow]:
    """The rows of forecast branches; those at `again` are measured again."""
    lineage, ground, rows = member.lineage, bench.ground, []
    branches = forecasts.branches
    ceilings = _measured(bench, branches, seed)
    repeats = dict(zip(again, _repeats(bench, ceilings, again, seed), strict=True))
    nats = _divergences(ground, ceilings)
    for i, coordinate in enumerate(branches):
        row = CeilingRow(
            lineage=lineage.name,
            recipe=lineage.recipe,
            model=member.model.name,
            branch=str(coordinate.branch),
            neuron=site(coordinate),
            layer=coordinate.branch.layer,
            layers=member.model.n_layers,
            last=CEILING_GAINS[ceilings.rungs[i] - 1],
            budget=coordinate.budget,
            residual=float(ground.stream.norm[coordinate.branch.layer]),
            alignment0=coordinate.alignment0,
            measured=ceilings.gains[i],
            kl_at_ceiling=nats[i],
            repeats=repeats.get(i),
            predicted={name: gains[i] for name, gains in forecasts.gains.items()},
        )
        rows.append(row)
    return rows


def _measured(bench: Bench, branches: Sequence[Coordinate], seed: int) -> Ceilings:
    doses = [partial(_dosed, coordinate) for coordinate in branches]
    rungs = [coordinate.rungs(CEILING_GAINS) for coordinate in branches]
    return Ceilings(branches, doses, rungs, measured_ceilings(bench, doses, rungs, seed))


def _repeats(bench: Bench, ceilings: Ceilings, again: Sequence[int], seed: int) -> list[Repeats]:
    """The branches at `again`, with other luck on the same prompts and on each half of them."""
    doses, rungs = [ceilings.doses[i] for i in again], [ceilings.rungs[i] for i in again]
    even, odd = (replace(bench, prompts=bench.prompts[half::2]) for half in (0, 1))
    columns = [
        measured_ceilings(prompts, doses, rungs, seed + 1 + i)
        for i, prompts in enumerate((bench, even, odd))
    ]
    return [Repeats(retest=same, halves=(a, b)) for same, a, b in zip(*columns, strict=True)]


def _divergences(ground: Ground, ceilings: Ceilings) -> list[float | None]:
    """KL(clean || dosed) at each measured ceiling, nats a token; None beyond the ladder."""
    edges = zip(ceilings.branches, ceilings.gains, strict=True)
    doses = [coordinate.dose(gain) for coordinate, gain in edges if gain is not None]
    if not doses:
        return [None] * len(ceilings.gains)
    nats = iter(edit_divergences(ground.model, doses, ground.text.first(TEXTS)).tolist())
    return [None if gain is None else next(nats) for gain in ceilings.gains]
