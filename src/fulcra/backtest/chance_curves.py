"""Both forecast curves of the branches whose chance to open is asked, kept part by part."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError, RunFolderError
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.curves import Rungs, divergence_curves
from fulcra.law.chance import Look
from fulcra.models import Model
from fulcra.protocol.chances import LOST, ChanceTexts, measured_curves, odds_of, replies_of
from fulcra.protocol.draw import movers
from fulcra.protocol.progress import cpu_seconds
from fulcra.protocol.results.census import FIRST_LOOK, Census, MeasuredBranch
from fulcra.protocol.results.chances import SCHEMA, ChanceSettings, CurveRow, End
from fulcra.protocol.runs import Run
from fulcra.protocol.subject import Subject
from fulcra.screens.candidates import movable
from fulcra.screens.dosed_logit import REACH
from fulcra.store import read_rows, write_rows
from fulcra.types import Behavior, Neuron

#: The rungs of a census, and of an audit but for the last.
GAINS = REACH
CURVES = "curves.parquet"
#: Branches whose curves are stored together, and those on which curves and edges are timed.
PART, TIMED = 256, 32


class Member(NamedTuple):
    """A model under a behavior, and the folder of its census where there is one."""

    model: Model
    behavior: Behavior
    census: Path | None = None


class DrawnChance(NamedTuple):
    """A branch whose chance is forecast, how many it stands for, and its end where measured."""

    branch: str
    weight: float
    end: End | None


class Pool(NamedTuple):
    """The branches whose chances are forecast, the rungs, and how each rung is measured."""

    drawn: Sequence[DrawnChance]
    gains: Sequence[float]
    look: Look


def random_pool(subject: Subject, settings: ChanceSettings) -> Pool:
    """The branches whose chance is forecast without a census: `others` at random."""
    prompts = len(subject.behavior.confirmation)
    drawn = random_branches(subject, settings.others, _rng(settings))
    return Pool(drawn, GAINS, Look(prompts, prompts))


def census_pool(census: Census, prompts: int, settings: ChanceSettings) -> Pool:
    """The branches of a census whose chance is forecast, of so many confirmation prompts.

    All measured ones with a forecast window, and `others` of the rest at random, each standing for
    its share.
    """
    leaking = round(census.result.baseline.leak * prompts)
    measured = [branch for branch in census.branches if branch.weight > 0]
    drawn = _of_census(measured, settings.others, _rng(settings))
    return Pool(drawn, GAINS, Look(prompts - leaking, FIRST_LOOK))


def _rng(settings: ChanceSettings) -> random.Random:
    return random.Random(f"chances-{settings.seed}")


def random_branches(
    subject: Subject, count: int, rng: random.Random, gain: float = GAINS[0]
) -> list[DrawnChance]:
    """Branches at random of those whose neuron reaches the gain, each standing for its share.

    Only as many are looked at as it takes. InputError where none reaches it.
    """
    neurons = movable(subject.model, subject.ground.stream)
    every = [pole for neuron in neurons for pole in (neuron, neuron.opposite)]
    rest, chosen = every, list[Neuron]()
    while rest and len(chosen) < count:
        further = rng.sample(rest, min(count - len(chosen), len(rest)))
        chosen += movers(subject.ground, further, gain)
        taken = set(further)
        rest = [branch for branch in rest if branch not in taken]
    if not chosen:
        raise InputError(
            f"{subject.model.name}: no dose of any of {len(neurons)} neurons turns the stream as"
            f" far as gain {gain:g}; no branch can be drawn, choose another model"
        )
    weight = len(every) / (len(every) - len(rest))
    return [DrawnChance(str(each), weight, None) for each in sorted(chosen, key=_place)]


def _of_census(
    measured: Sequence[MeasuredBranch], others: int, rng: random.Random
) -> list[DrawnChance]:
    windows = [b for b in measured if b.trigger and b.trigger < (b.ceiling or float("inf"))]
    rest = [branch for branch in measured if branch not in windows]
    sampled = rng.sample(rest, min(others, len(rest)))
    share = len(rest) / len(sampled) if sampled else 1.0
    drawn = [DrawnChance(b.branch, b.weight, _end(b)) for b in windows]
    drawn += [DrawnChance(b.branch, share * b.weight, _end(b)) for b in sampled]
    return sorted(drawn, key=lambda each: _place(Neuron.parse(each.branch)))


def _end(branch: MeasuredBranch) -> End:
    if branch.smallest_open_gain is not None:
        return "open"
    return "over" if branch.flipped > 0 else "under"


def _place(neuron: Neuron) -> tuple[int, str]:
    """Where a branch stands in the order: those of a layer together share the most of a pass."""
    return neuron.layer, str(neuron)


def curve_rows(run: Run, subject: Subject, pool: Pool, texts: ChanceTexts) -> list[CurveRow]:
    """The curves of all branches; part by part, each stored where the run has a folder."""
    rows: list[CurveRow] = []
    with run.clock.step(f"{subject.model.name} curves", len(pool.drawn)) as bar:
        for start in range(0, len(pool.drawn), PART):
            part = pool._replace(drawn=pool.drawn[start : start + PART])
            path = None if run.folder is None else run.folder.part(f"curves-{start}")
            if path is None or not path.exists():
                rows += _part(subject, part, texts)
            else:
                rows += stored_part(path, part.drawn)
            if path is not None and not path.exists():
                write_curves(path, rows[-len(part.drawn) :])
            bar.advance(len(part.drawn))
    return rows


def stored_part(path: Path, drawn: Sequence[DrawnChance]) -> list[CurveRow]:
    """The curves of a part as stored; RunFolderError unless they are of the branches drawn now."""
    rows = read_curves(path)
    if drawn_in(rows) != list(drawn):
        raise RunFolderError(
            f"{path}: holds the curves of other branches than are drawn now; choose a new --out"
        )
    return rows


def drawn_in(rows: Sequence[CurveRow]) -> list[DrawnChance]:
    """The branches that curves are of, as they were drawn."""
    return [DrawnChance(row.branch, row.weight, row.end) for row in rows]


def read_curves(path: Path) -> list[CurveRow]:
    """The rows of a table of curves."""
    return [CurveRow(**row) for row in read_rows(path, SCHEMA)]


def write_curves(path: Path, rows: Sequence[CurveRow]) -> None:
    """Write a table of curves."""
    write_rows(path, [row._asdict() for row in rows], SCHEMA)


def _part(subject: Subject, pool: Pool, texts: ChanceTexts) -> list[CurveRow]:
    places = [subject.coordinate(Neuron.parse(each.branch)) for each in pool.drawn]
    curves = measured_curves(subject, places, texts, pool.gains)
    odds = curves.odds.flatten(1)
    return [
        CurveRow(
            branch=each.branch,
            end=each.end,
            weight=each.weight,
            odds=odds[i].tolist(),
            divergence=curves.divergence[i].tolist(),
            tail=curves.tail[i].tolist(),
            replies=curves.replies[i].tolist(),
        )
        for i, each in enumerate(pool.drawn)
    ]


def timed(subject: Subject, pool: Pool, texts: ChanceTexts) -> dict[str, float]:
    """CPU seconds a branch: of each whole curve, and of the two edges that an audit forecasts.

    On a random few of the branches, the same texts and prompts for all.
    """
    model, count = subject.model, min(TIMED, len(pool.drawn))
    few = random.Random("timed").sample(pool.drawn, count)
    branches = [subject.coordinate(Neuron.parse(each.branch)) for each in few]
    rungs = Rungs.of(branches, pool.gains)
    sound = rungs.below(divergence_curves(model, texts.generic, rungs)[..., 0], LOST)
    work: dict[str, Callable[[], object]] = {
        "odds": lambda: odds_of(subject, texts, sound),
        "divergence": lambda: divergence_curves(model, texts.generic, rungs),
        "replies": lambda: replies_of(subject, texts, sound),
        "trigger_ladder": lambda: trigger_ladder(model, branches, texts.openings),
        "kl_ladder": lambda: kl_ladder(model, branches, texts.generic),
    }
    return {name: _seconds(make) / max(1, len(few)) for name, make in work.items()}


def _seconds(make: Callable[[], object]) -> float:
    begun = cpu_seconds()
    make()
    return cpu_seconds() - begun
