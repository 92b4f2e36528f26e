"""The detector of lost coherence, validated: against an exact grammar, itself, greedy rollouts."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.damage import judged_damage
from fulcra.backtest.grammar import ScoredText, detector_score, shares_by_gain, thresholds
from fulcra.backtest.noise import (
    OF_HALVES,
    Happened,
    difference,
    edge_noise,
    measured_edges,
    site,
    split_half,
)
from fulcra.backtest.split import Cabinet
from fulcra.behaviors import load_behavior
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Model
from fulcra.organisms.domain import Domain
from fulcra.organisms.oracle import grammatical
from fulcra.organisms.planted import planted_world
from fulcra.organisms.world import world_named
from fulcra.protocol.draw import movers
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.records import CEILING, Record
from fulcra.protocol.results.coherence import (
    CoherenceStudy,
    DetectorSettings,
    DetectorStudies,
    Floor,
    GrammarStudy,
    LowestGain,
    Noise,
    RepetitionStudy,
    SamplingStudy,
)
from fulcra.protocol.results.split import Split
from fulcra.protocol.stages import CEILING_TEMPERATURE
from fulcra.protocol.subject import Ground, Subject
from fulcra.protocol.trials import dose_trials
from fulcra.store import AUDIT, RunFolder, read_json, write_json
from fulcra.types import Behavior, Edge, Neuron, Prompt, Sampling

#: Whether a rollout has kept its coherence.
Sound = Callable[[Record], bool]


def coherence_study(
    organism: Model,
    behavior: Behavior,
    settings: DetectorSettings,
    folder: RunFolder | None = None,
    progress: Progress | None = None,
) -> CoherenceStudy:
    """What is measured of the detector on an organism: by its grammar, by repetition, greedily.

    With `folder` the rollouts are kept there part by part and an interrupted study goes on. Cost:
    three ladders of rollouts on generic prompts.
    """
    ladders = _Ladders(Subject.of(organism, behavior, settings.seed), settings, folder)
    world = planted_world(organism.folder) or "apothecary"
    bar = progress or Silent()
    first, second = (ladders.sampled(number, bar) for number in (0, 1))
    greedy = ladders.greedy(bar)
    return CoherenceStudy(
        model=organism.name,
        settings=settings,
        standard=ladders.subject.ground.standard,
        branches=len(ladders.branches),
        prompts=len(behavior.ceiling_generic),
        grammar=_by_grammar(ladders, first, second, world_named(world).domain),
        repeatability=_by_repetition(ladders, first, second),
        sampling=_by_sampling(ladders, first, greedy),
    )


def drawn(ground: Ground, per_layer: int, seed: int) -> list[Coordinate]:
    """Random branches, as many in each layer, either pole by chance."""
    rng, branches = random.Random(f"coherence-{seed}"), []
    for layer in range(ground.model.n_layers):
        moving = movers(ground, _shuffled(ground.model, layer, rng))
        branches += [ground.coordinate(neuron) for neuron in islice(moving, per_layer)]
    return branches


def _shuffled(model: Model, layer: int, rng: random.Random) -> Iterator[Neuron]:
    """The neurons of a layer in random order, each on a random pole."""
    for slot in rng.sample(range(model.width(layer)), model.width(layer)):
        yield model.neuron(layer, slot, rng.choice((1, -1)))


@final
class _Ladders:
    """The same random branches on the same generic prompts, drawn with a seed or greedily."""

    def __init__(
        self, subject: Subject, settings: DetectorSettings, folder: RunFolder | None
    ) -> None:
        self.subject, self.settings = subject, settings
        self.branches = drawn(subject.ground, settings.per_layer, settings.seed)
        self.measure = Measurement(subject, folder=folder, salt="coherence")
        openings = subject.behavior.ceiling_generic
        self.prompts = [Prompt(f"ceiling-{i}", text) for i, text in enumerate(openings)]

    def sampled(self, number: int, progress: Progress) -> list[Record]:
        """The ladder at the temperature of measured ceilings, for a first and a second seed."""
        sampling = Sampling(CEILING_TEMPERATURE, self.settings.seed + number)
        return self._run(f"sampled{number}", sampling, progress)

    def greedy(self, progress: Progress) -> list[Record]:
        """The greedy ladder."""
        return self._run("greedy", Sampling(0.0, self.settings.seed), progress)

    def _run(self, kind: str, sampling: Sampling, progress: Progress) -> list[Record]:
        name, gains = f"coherence-{self.subject.model.name}-{kind}", self.settings.gains
        trials = dose_trials(self.subject, CEILING, self.branches, gains, self.prompts, sampling)
        progress.begin(name, len(trials))
        return self.measure(name, trials, progress.advance)

    def sound(self, record: Record) -> bool:
        """Whether a rollout is coherent by the standard; an unscored one is not."""
        return record.coherent(self.subject.behavior.horizon)

    def lost(self, records: Sequence[Record], sound: Sound) -> list[NDArray[np.bool_]]:
        """For each branch whether a rollout is not `sound`, [gain, prompt]."""
        rows: dict[tuple[str, float], list[bool]] = defaultdict(list)
        for record in records:
            rows[record.branch, record.gain].append(not sound(record))
        gains, lost = self.settings.gains, []
        for coordinate in self.branches:
            ladder = [
                rows[str(coordinate.branch), gain] for gain in gains[: coordinate.rungs(gains)]
            ]
            lost.append(np.array(ladder, dtype=bool))
        return lost

    def sites(self, records: Sequence[Record]) -> list[str]:
        """The neuron of every record, without its pole."""
        names = {str(coordinate.branch): site(coordinate) for coordinate in self.branches}
        return [names[record.branch] for record in records]

    def edges(self, happened: Happened) -> list[Edge]:
        """The measured ceilings of all branches."""
        return measured_edges(self.branches, self.settings.gains, happened)


def _by_grammar(
    ladders: _Ladders, first: Sequence[Record], second: Sequence[Record], domain: Domain
) -> GrammarStudy:
    """Coherence against the exact grammar: by rollout, over a grid of thresholds, as a ceiling."""
    by_grammar = partial(_grammatical, domain)
    records = [r for r in (*first, *second) if r.outcomes[-1] != "unscored"]
    judged, true = ([sound(r) for r in records] for sound in (ladders.sound, by_grammar))
    scored = ScoredText(records, judged, true, ladders.sites(records))
    edges = [ladders.edges(ladders.lost(first, sound)) for sound in (by_grammar, ladders.sound)]
    return GrammarStudy(
        scored=len(records),
        unscored=len(first) + len(second) - len(records),
        **dict(detector_score(judged, true, scored.sites)),
        grid=thresholds(scored),
        by_gain=shares_by_gain(scored, ladders.settings.gains),
        ceiling=difference(ladders.branches, *edges),
    )


def _grammatical(domain: Domain, record: Record) -> bool:
    return grammatical(domain, record.text, record.ended)


def _by_repetition(
    ladders: _Ladders, first: Sequence[Record], second: Sequence[Record]
) -> RepetitionStudy:
    """The noise of a measured ceiling; its floor over all prompts is that of halves over sqrt 2."""
    lost = [ladders.lost(records, ladders.sound) for records in (first, second)]
    halves = split_half(ladders.branches, ladders.settings.gains, lost[0])
    return RepetitionStudy(
        two_seeds=edge_noise(ladders.branches, *map(ladders.edges, lost)),
        split_half=halves,
        floor=Floor(cos=_of_all(halves.cos), log2=_of_all(halves.log2)),
    )


def _of_all(halves: Noise) -> float | None:
    return None if halves.floor is None else halves.floor / OF_HALVES


def _by_sampling(
    ladders: _Ladders, sampled: Sequence[Record], greedy: Sequence[Record]
) -> SamplingStudy:
    """Greedy ceilings beside sampled ones, and how coherent the smallest dose leaves each."""
    lost = [ladders.lost(records, ladders.sound) for records in (sampled, greedy)]
    lowest = [float(1 - np.mean([rows[0].mean() for rows in row if len(rows)])) for row in lost]
    return SamplingStudy(
        greedy_against_sampled=difference(ladders.branches, *map(ladders.edges, lost)),
        split_half_greedy=split_half(ladders.branches, ladders.settings.gains, lost[1]),
        coherent_at_the_lowest_gain=LowestGain(sampled=lowest[0], greedy=lowest[1]),
    )


def validated_detector(
    split: Split, cabinet: Cabinet, settings: DetectorSettings, path: Path, progress: Progress
) -> DetectorStudies:
    """The coherence study of each organism that `split` names for it, and of damaged stories.

    Kept under `path`: what is over is read back. Cost: about 40 seconds of one core an organism, 2
    a model of stories.
    """
    organisms = {
        name: _kept(cabinet.load(name), settings, path / name, progress)
        for name in split.detector
        if cabinet.has(name)
    }
    progress.begin("damaged stories", len(split.stories))
    stories = [name for name in split.stories if cabinet.has(name)]
    damage = {name: tuple(judged_damage(cabinet.load(name), settings.seed)) for name in stories}
    return DetectorStudies(organisms=organisms, damage=damage)


def _kept(
    model: Model, settings: DetectorSettings, path: Path, progress: Progress
) -> CoherenceStudy:
    manifest = {
        "command": "validate detector",
        "model_sha256": model.sha256,
        "settings": asdict(settings),
        "code": code_version(),
    }
    folder = RunFolder.open(path, manifest)
    if not folder.finished:
        behavior = load_behavior("refusal", planted_world(model.folder))
        study = coherence_study(model, behavior, settings, folder, progress)
        write_json(path / AUDIT, study.plain())
        folder.drop_parts()
    return CoherenceStudy.model_validate(read_json(path / AUDIT))
