"""Both forecast curves of the branches whose chance to open is asked, kept part by part."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.errors import Inconclusive
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.curves import (
    Rungs,
    divergence_curves,
    odds_curves,
    reply_curves,
    reply_shares,
)
from fulcra.ladders.flip_ladder import flipped_text
from fulcra.ladders.trigger_ladder import Openings
from fulcra.law.chance import Look
from fulcra.models import Model
from fulcra.protocol.progress import cpu_seconds
from fulcra.protocol.results.census import FIRST_LOOK, MeasuredBranch, read_census
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
#: A mean divergence [nats a token] beyond which the text is lost whatever else is so: ceilings lie
#: at .3 to 1.3. Neither odds nor replies are looked at there.
LOST = 3.0
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


class Texts(NamedTuple):
    """What the curves of one subject are measured on: openings, generic text, flipped replies."""

    openings: Openings
    generic: GenericText
    replies: GenericText

    @classmethod
    def of(cls, subject: Subject, count: int) -> "Texts":
        """Openings and replies of the selection prompts, `count` generic texts.

        Inconclusive where the behavior declares no openings.
        """
        behavior = subject.behavior
        if subject.openings is None:
            raise Inconclusive(
                f"behavior {behavior.name}: no openings, so no flip can be forecast; give target"
                " and control ones"
            )
        replies = flipped_text(subject.model, behavior.selection, behavior.system, behavior.horizon)
        return cls(subject.openings, subject.ground.text.first(count), replies)


def drawn_branches(
    subject: Subject, census: Path | None, settings: ChanceSettings
) -> tuple[list[DrawnChance], Look]:
    """The branches whose chance is forecast, and how their rungs are measured.

    Of a census: all measured ones with a forecast window, and `others` of the rest at random, each
    standing for its share. Without one: `others` branches at random.
    """
    rng = random.Random(f"chances-{settings.seed}")
    prompts = len(subject.behavior.confirmation)
    if census is None:
        return _at_random(subject, settings.others, rng), Look(prompts, prompts)
    truth = read_census(census, subject.model, subject.behavior)
    leaking = round(truth.result.baseline.leak * prompts)
    measured = [branch for branch in truth.branches if branch.weight > 0]
    return _of_census(measured, settings.others, rng), Look(prompts - leaking, FIRST_LOOK)


def _at_random(subject: Subject, count: int, rng: random.Random) -> list[DrawnChance]:
    neurons = movable(subject.model, subject.ground.stream)
    every = [pole for neuron in neurons for pole in (neuron, neuron.opposite)]
    chosen = sorted(rng.sample(every, min(count, len(every))), key=_place)
    return [DrawnChance(str(branch), len(every) / len(chosen), None) for branch in chosen]


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


def curve_rows(
    run: Run, subject: Subject, drawn: Sequence[DrawnChance], texts: Texts
) -> list[CurveRow]:
    """The curves of all branches; part by part, each stored where the run has a folder."""
    rows: list[CurveRow] = []
    with run.clock.step(f"{subject.model.name} curves", len(drawn)) as bar:
        for start in range(0, len(drawn), PART):
            part = drawn[start : start + PART]
            path = None if run.folder is None else run.folder.part(f"curves-{start}")
            if path is None or not path.exists():
                rows += _part(subject, part, texts)
            else:
                rows += read_curves(path)
            if path is not None and not path.exists():
                write_curves(path, rows[-len(part) :])
            bar.advance(len(part))
    return rows


def read_curves(path: Path) -> list[CurveRow]:
    """The rows of a table of curves."""
    return [CurveRow(**row) for row in read_rows(path, SCHEMA)]


def write_curves(path: Path, rows: Sequence[CurveRow]) -> None:
    """Write a table of curves."""
    write_rows(path, [row._asdict() for row in rows], SCHEMA)


def _part(subject: Subject, drawn: Sequence[DrawnChance], texts: Texts) -> list[CurveRow]:
    rungs = Rungs.of([subject.coordinate(Neuron.parse(d.branch)) for d in drawn], GAINS)
    nats = divergence_curves(subject.model, texts.generic, rungs)
    rungs = rungs.below(nats[..., 0], LOST)
    odds = _odds(subject, texts, rungs).flatten(1)
    replies = _replies(subject, texts, rungs)
    return [
        CurveRow(
            branch=each.branch,
            end=each.end,
            weight=each.weight,
            odds=odds[i].tolist(),
            divergence=nats[i, :, 0].tolist(),
            tail=nats[i, :, 1].tolist(),
            replies=replies[i].tolist(),
        )
        for i, each in enumerate(drawn)
    ]


def _odds(subject: Subject, texts: Texts, rungs: Rungs) -> Tensor:
    return odds_curves(subject.model, texts.openings, rungs)


def _replies(subject: Subject, texts: Texts, rungs: Rungs) -> Tensor:
    ground = subject.ground
    level = ground.standard.surprise_level
    return reply_curves(subject.model, texts.replies, level, ground.reference, rungs)


def undosed_share(subject: Subject, texts: Texts) -> float:
    """The share of odd tokens that the undosed model expects in the flipped replies."""
    ground = subject.ground
    level, reference = ground.standard.surprise_level, ground.reference
    return float(reply_shares(subject.model, texts.replies, level, reference, [None])[0])


def timed(subject: Subject, drawn: Sequence[DrawnChance], texts: Texts) -> dict[str, float]:
    """CPU seconds a branch: of each whole curve, and of the two edges that an audit forecasts.

    On a random few of the branches, the same texts and prompts for all.
    """
    model, few = subject.model, random.Random("timed").sample(drawn, min(TIMED, len(drawn)))
    branches = [subject.coordinate(Neuron.parse(each.branch)) for each in few]
    rungs = Rungs.of(branches, GAINS)
    sound = rungs.below(divergence_curves(model, texts.generic, rungs)[..., 0], LOST)
    work: dict[str, Callable[[], object]] = {
        "odds": lambda: _odds(subject, texts, sound),
        "divergence": lambda: divergence_curves(model, texts.generic, rungs),
        "replies": lambda: _replies(subject, texts, sound),
        "trigger_ladder": lambda: trigger_ladder(model, branches, texts.openings),
        "kl_ladder": lambda: kl_ladder(model, branches, texts.generic),
    }
    return {name: _seconds(make) / max(1, len(few)) for name, make in work.items()}


def _seconds(make: Callable[[], object]) -> float:
    begun = cpu_seconds()
    make()
    return cpu_seconds() - begun
