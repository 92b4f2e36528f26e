"""Where doses of a training are drawn from: the windows forecast of the model as it is now."""

import random
from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS, clean_odds
from fulcra.models.capture import stream
from fulcra.protocol.draw import both_poles, movers
from fulcra.protocol.progress import Silent
from fulcra.protocol.stages import Forecast, dose_screen, forecast
from fulcra.protocol.subject import Ground, Subject
from fulcra.screens.candidates import SWEPT, sweep_candidates
from fulcra.types import Neuron

#: Where no window is open, doses are drawn from this part of the ceiling upwards.
BELOW = 0.5


class Window(NamedTuple):
    """The gains that a branch is dosed at: from its forecast trigger to its ceiling."""

    at: Coordinate
    low: float
    high: float

    @classmethod
    def of(cls, edges: Forecast) -> "Window":
        """The window of a forecast; the upper half below the ceiling where none is open."""
        high = edges.ceiling.gain or TRIGGER_GAINS[-1]
        trigger = None if edges.trigger is None else edges.trigger.gain
        low = trigger if trigger is not None and trigger < high else BELOW * high
        return cls(edges.at, low, high)

    def gain(self, rng: random.Random) -> float:
        """A gain drawn uniformly, below the cap of a norm after the MLP."""
        return self.at.within(rng.uniform(self.low, self.high))


class Look(NamedTuple):
    """Both forecast edges of some branches of the model as it is, and its undosed margin [nats].

    The first `screened` of them were found by a screen, the others drawn at random. The first
    `ranked` of the windows are of branches that the screen found.
    """

    edges: tuple[Forecast, ...]
    screened: int
    margin: float
    windows: tuple[Window, ...]
    ranked: int


class Sample(NamedTuple):
    """How many branches a look takes of each kind, and of how many neurons they are screened.

    `others` are random neurons besides that doses are drawn from. `swept` is how many neurons an
    audit sweeps, by contrast: in a model of more, half of `candidates` are of those.
    """

    screened: int = 16
    random: int = 16
    candidates: int = 1024
    others: int = 128
    swept: int = SWEPT

    @classmethod
    def of(cls, branches: int, swept: int = SWEPT) -> "Sample":
        """A sample of so many branches, half of them screened, beside audits of such a sweep."""
        return cls(branches // 2, branches - branches // 2, 32 * branches, 4 * branches, swept)


def subject_now(before: Subject) -> Subject:
    """The subject with the stream of its model as it is now, on the same generic text."""
    ground, text = before.ground, before.ground.text
    now = stream(ground.model, text.prompts, text.replies)
    return Subject(
        Ground(ground.model, text, now, ground.reference, ground.standard),
        before.behavior,
        before.seed,
    )


def look(subject: Subject, sample: Sample, number: int) -> Look:
    """Both edges of fresh random branches and of the strongest that a fresh screen finds.

    `windows` are theirs, and those of further random neurons, which get the medians of their layer.
    The screen looks at random neurons; in a model larger than an audit's sweep half of them are
    drawn from that sweep, since of few at random hardly one would be among those it finds, and the
    next strongest get windows too, as many as those random neurons: a few branches are not many
    of such a model's.
    InputError where doses move the stream through fewer neurons than are drawn.
    """
    model, rng = subject.model, random.Random(f"look-{subject.seed}-{number}")
    places = [
        (layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))
    ]
    neurons = [model.neuron(*place) for place in rng.sample(places, len(places))]
    swept = _of_the_sweep(subject, sample, rng) if len(places) > sample.swept else []
    candidates = list(islice(movers(subject.ground, neurons), sample.candidates - len(swept)))
    _require(model.name, sample, len(candidates))
    screen = list(dict.fromkeys([*swept, *candidates]))
    ranking = dose_screen(subject, screen, sample.screened, Silent())
    strongest = [branch for branch in ranking.branches if isinstance(branch, Neuron)]
    windowed = sample.screened + (sample.others if swept else 0)
    ranked = [subject.coordinate(branch) for branch in strongest[:windowed]]
    screened = len(ranked[: sample.screened])
    fresh = rng.sample(candidates, sample.random // 2)
    branches = ranked[:screened] + both_poles(subject.ground, fresh)
    edges = forecast(subject, branches, TRIGGER_GAINS, Silent())
    windows = [Window.of(each) for each in edges]
    others = rng.sample(candidates, min(sample.others, len(candidates)))
    windows += _by_layer(both_poles(subject.ground, others), windows)
    windows[screened:screened] = _by_layer(ranked[screened:], windows[: len(edges)])
    openings = subject.openings
    assert openings is not None
    margin = -float(clean_odds(model, openings).mean())
    return Look(tuple(edges), screened, margin, tuple(windows), len(ranked))


def _require(name: str, sample: Sample, candidates: int) -> None:
    """InputError where there are fewer random neurons than a look draws."""
    if sample.random // 2 > candidates:
        raise InputError(
            f"--branches {sample.screened + sample.random}: draws {sample.random // 2} random"
            f" neurons, in {name} a dose moves the stream through {candidates} of those a check"
            " looks at; ask for fewer"
        )


def _of_the_sweep(subject: Subject, sample: Sample, rng: random.Random) -> list[Neuron]:
    """Random ones of the neurons that an audit of the model would sweep, as it is now."""
    swept = sweep_candidates(subject.model, subject.ground.stream, subject.gaps, sample.swept)
    return rng.sample(swept, min(len(swept), sample.candidates // 2))


def _by_layer(branches: Sequence[Coordinate], forecasts: Sequence[Window]) -> list[Window]:
    """The branches with the median window of their layer, of all layers where it has none."""
    out = []
    for place in branches:
        layer = place.branch.layer
        near = [window for window in forecasts if window.at.branch.layer == layer] or forecasts
        out.append(Window(place, median(w.low for w in near), median(w.high for w in near)))
    return out
