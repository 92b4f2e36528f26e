"""Models beside each other: where the neurons of a behavior lie, what they share, what they do."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from typing import NamedTuple

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.labelled import Labelled, halves
from fulcra.errors import InputError
from fulcra.formulas.overlap import depth, overlap
from fulcra.models import Model, scale
from fulcra.models.shapes import n_neurons, set_sizes, unlike
from fulcra.protocol.draw import alike
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.records import outcome_rates
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.comparison import (
    Ablation,
    BehaviorComparison,
    BorrowedDetector,
    CompareSize,
    ComparisonResult,
    DepthShares,
    NoDetector,
    NoOverlap,
    Profile,
    SharedNeurons,
)
from fulcra.protocol.runs import model_entry
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, set_trials
from fulcra.screens.contrastive import by_contrast, contrastive
from fulcra.screens.scores import Units
from fulcra.studies.detector import FitAndScore, figures, neuron_scores, prompt_set
from fulcra.types import Behavior, Neuron, Ranking

SCHEMA_VERSION = 1
#: Shares of all MLP neurons: paper B's, and one for models in which that is a handful.
SHARES = (0.001, 0.01)
UNITS: tuple[Units, ...] = ("raw", "gain")


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """A fixed set size, the seed, whether sets are ablated and universal neurons stay in."""

    top_k: int = 32
    seed: int = 0
    ablate: bool = True
    keep_universal: bool = False


@dataclass(frozen=True, slots=True)
class ModelReading:
    """One model under one behavior: rankings without `universal` neurons, the best on `fit`."""

    subject: Subject
    universal: tuple[Neuron, ...]
    rankings: dict[Units, Ranking]
    neuron: Neuron
    fit: Labelled
    score: Labelled

    @property
    def model(self) -> Model:
        """The model that reads the prompts."""
        return self.subject.model


class ComparedSet(NamedTuple):
    """Neurons to ablate together: whose top they are ("random", or None of none), and its name."""

    set_of: str | None
    name: str
    neurons: Sequence[Neuron]


def compare(
    models: Sequence[Model],
    behaviors: Sequence[Behavior],
    settings: CompareSettings = CompareSettings(),
    progress: Progress | None = None,
) -> ComparisonResult:
    """Profiles, overlaps, ablations and borrowed detectors of two or more models.

    These are paper B's tables 6 to 8 and paper C's base checkpoint. Sets are the top of |contrast|,
    in activation and in gain units, universal neurons left out. A pair of different shapes is
    refused with its reason, since no set of one has a meaning in the other. InputError where two
    models have one name. Cost: seconds a model
    and behavior, and with `ablate` a few dozen short rollouts a pair.
    """
    names = {model.name for model in models}
    if len(names) < max(2, len(models)):
        raise InputError(
            f"compare: {len(models)} models of {len(names)} names; give two or more different ones,"
            " each of a name of its own"
        )
    if not behaviors:
        raise InputError("compare: no behavior was given; name one or more")
    bar = progress or Silent()
    result = ComparisonResult(
        schema_version=SCHEMA_VERSION,
        command="compare",
        models=tuple(map(model_entry, models)),
        settings=CompareSize(**asdict(settings), shares=SHARES),
        behaviors=tuple(_compared(models, behavior, settings, bar) for behavior in behaviors),
        provenance=Provenance.now(),
    )
    return ComparisonResult.of(result.plain())


def _compared(
    models: Sequence[Model], behavior: Behavior, settings: CompareSettings, bar: Progress
) -> BehaviorComparison:
    bar.begin(behavior.name, len(models) * (2 if settings.ablate else 1))
    readings: list[ModelReading] = []
    for model in models:
        readings.append(_reading(model, behavior, settings))
        bar.advance(1)
    ablations: list[Ablation] = []
    for own in readings if settings.ablate else ():
        ablations += _ablations(own, readings, settings.seed)
        bar.advance(1)
    pairs = combinations(readings, 2)
    return BehaviorComparison(
        name=behavior.name,
        sha256=behavior_sha256(behavior),
        labels={**behavior.labels},
        fit=prompt_set(readings[0].fit),
        score=prompt_set(readings[0].score),
        horizons={own.model.name: own.subject.behavior.horizon for own in readings},
        universal={own.model.name: tuple(n.site for n in own.universal) for own in readings},
        sets=tuple(entry for own in readings for entry in _profiles(own, settings.top_k)),
        overlaps=tuple(entry for pair in pairs for entry in _overlaps(*pair, settings.top_k)),
        ablations=tuple(ablations),
        detectors=tuple(
            _borrowed(own, reader, settings.seed) for own, reader in product(readings, readings)
        ),
    )


def _reading(model: Model, behavior: Behavior, settings: CompareSettings) -> ModelReading:
    subject = Subject.of(model, behavior, settings.seed)
    universal = () if settings.keep_universal else subject.universal
    rankings = {}
    for unit in UNITS:
        clean = None if unit == "raw" else subject.clean
        ranking = by_contrast(model, subject.contrast, clean)
        rankings[unit] = ranking.without(universal)
    first, fit, score = halves(behavior, settings.seed)
    best = contrastive(model, first).without(universal).branches[0]
    return ModelReading(subject, universal, rankings, best, fit, score)


def _profiles(reading: ModelReading, top_k: int) -> Iterator[Profile]:
    """Where the sets lie, and where neurons drawn at random would."""
    model, layers = reading.model, range(reading.model.n_layers)
    everyone = [layer for layer in layers for _ in range(model.width(layer))]
    chance = DepthShares(**depth(everyone, model.n_layers)._asdict())
    for unit in UNITS:
        for name, size in set_sizes(model, SHARES, top_k).items():
            places = [neuron.layer for neuron in reading.rankings[unit].top(size)]
            yield Profile(
                model=model.name,
                units=unit,
                set=name,
                size=len(places),
                profile=DepthShares(**depth(places, model.n_layers)._asdict()),
                chance=chance,
                layers=tuple(map(places.count, layers)),
            )


def _overlaps(
    first: ModelReading, second: ModelReading, top_k: int
) -> Iterator[SharedNeurons | NoOverlap]:
    names = {"one": first.model.name, "other": second.model.name}
    if reason := unlike(first.model, second.model):
        yield NoOverlap(**names, refused=reason)
        return
    for unit in UNITS:
        for name, size in set_sizes(first.model, SHARES, top_k).items():
            poles = _poles(first.rankings[unit], size)
            others = _poles(second.rankings[unit], size)
            shared = overlap(set(poles), set(others), n_neurons(first.model))
            yield SharedNeurons(
                **names,
                units=unit,
                set=name,
                size=size,
                shared=shared.shared,
                expected=shared.expected,
                p=shared.p,
                same_pole=sum(others.get(site) == pole for site, pole in poles.items()),
            )


def _poles(ranking: Ranking, size: int) -> dict[str, int]:
    """The pole of each of the first neurons, by its name."""
    return {neuron.site: neuron.pole for neuron in ranking.top(size)}


def _ablations(
    own: ModelReading, readings: Sequence[ModelReading], seed: int
) -> Iterator[Ablation]:
    """What the confirmation prompts become in one model, set by set."""
    sets, behavior = _ablated_sets(own, readings, seed), own.subject.behavior
    prompts = behavior.confirmation
    trials: list[Trial] = []
    for each in sets:
        edits = tuple(scale(neuron, 0.0) for neuron in each.neurons)
        trials += set_trials(own.subject, "ablation", each.name, edits, prompts)
    records = Measurement(own.subject)("ablation", trials)
    for i, each in enumerate(sets):
        part = records[i * len(prompts) : (i + 1) * len(prompts)]
        yield Ablation(
            set_of=each.set_of,
            set=each.name,
            size=len(each.neurons),
            neurons=tuple(neuron.site for neuron in each.neurons),
            within=own.model.name,
            rates=outcome_rates(part, behavior.horizon),
            n=len(part),
        )


def _ablated_sets(
    own: ModelReading, readings: Sequence[ModelReading], seed: int
) -> list[ComparedSet]:
    """None, the sets of every model of this shape, and random ones alike in depth to its own."""
    sets, controls = [ComparedSet(None, "undosed", ())], []
    for reading in readings:
        if unlike(reading.model, own.model) is not None:
            continue
        for name, size in set_sizes(reading.model, SHARES).items():
            neurons = reading.rankings["raw"].top(size)
            sets.append(ComparedSet(reading.model.name, name, neurons))
            if reading is own:
                drawn = alike(own.model, neurons, random.Random(f"alike-{seed}"))
                controls.append(ComparedSet("random", name, drawn))
    return sets + controls


def _borrowed(own: ModelReading, reader: ModelReading, seed: int) -> BorrowedDetector | NoDetector:
    """One model's best neuron as a detector in another, fitted on the reader's first halves."""
    prompts = FitAndScore(reader.fit, reader.score, reader.subject.behavior.system)
    names = {"neuron": own.neuron.site, "of": own.model.name, "within": reader.model.name}
    if reason := unlike(own.model, reader.model):
        return NoDetector(**names, refused=reason)
    try:
        entry = figures(neuron_scores(reader.model, own.neuron, prompts), prompts, seed)
    except InputError as error:
        return NoDetector(**names, refused=str(error))
    return BorrowedDetector.model_validate({**names, **dict(entry)})
