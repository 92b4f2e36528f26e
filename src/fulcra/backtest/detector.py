"""The detector of lost coherence, validated: against an exact grammar, against known damage,
against itself, greedy and sampled.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.damage import DAMAGES
from fulcra.backtest.noise import Happened, difference, interval, measured_edges, noise, split_half
from fulcra.backtest.split import Cabinet, Split
from fulcra.behaviors import load_behavior
from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.judges.coherence import CoherenceStandard, coherence_standard, coherent
from fulcra.models import Model
from fulcra.models.capture import Stream
from fulcra.models.coordinate import coordinate
from fulcra.organisms.domain import Domain
from fulcra.organisms.oracle import grammatical
from fulcra.organisms.planted import planted_world
from fulcra.organisms.world import world_named
from fulcra.protocol import Record, dose_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.runs import code_version
from fulcra.protocol.stages import CEILING_TEMPERATURE
from fulcra.protocol.subject import Ground, in_tokens_of, prepare, surprises
from fulcra.screens.candidates import can_move
from fulcra.store import AUDIT, RunFolder, plain, read_json, write_json
from fulcra.types import Behavior, Prompt

#: The grid of the sensitivity table: floors of distinct n-grams and shares of surprising tokens,
#: the standard's own among them.
FLOORS = (0.5, 0.6, 0.7, 0.8, 0.9)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
#: Openings whose continuations set the standard of a model of stories; the others are damaged, in
#: lengths of TOKENS.
CALIBRATION, TOKENS = 24, 64


@dataclass(frozen=True, slots=True)
class CoherenceStudySettings:
    """The size of the study: random branches a layer, gains, seed."""

    per_layer: int = 4
    gains: tuple[float, ...] = (0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.7)
    seed: int = 0


def coherence_study(
    organism: Model,
    behavior: Behavior,
    settings: CoherenceStudySettings = CoherenceStudySettings(),
    folder: RunFolder | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What is known about the detector on an organism: by its grammar, by repetition, greedy and
    sampled.

    Plain JSON. With `folder` the rollouts are kept there part by part and an interrupted study goes
    on. Cost: three ladders of rollouts on generic prompts.
    """
    runs = _Runs(organism, behavior, settings, folder, progress or Silent())
    domain = world_named(planted_world(organism.folder) or "apothecary").domain
    first, second, greedy = runs.sampled(0), runs.sampled(1), runs.greedy()
    return {
        "model": organism.name,
        "settings": asdict(settings),
        "standard": asdict(runs.ground.standard),
        "branches": len(runs.branches),
        "prompts": len(behavior.ceiling_generic),
        "grammar": _by_grammar(runs, first + second, first, domain),
        "repeatability": _repeatability(runs, first, second),
        "sampling": _by_sampling(runs, first, greedy),
    }


def drawn(model: Model, clean: Stream, per_layer: int, seed: int) -> list[Coordinate]:
    """Random branches, as many in each layer, either pole by chance."""
    rng = random.Random(f"coherence-{seed}")
    found = []
    for layer in range(model.n_layers):
        slots = rng.sample(range(model.width(layer)), model.width(layer))
        neurons = (model.neuron(layer, slot, rng.choice((1, -1))) for slot in slots)
        moving = (neuron for neuron in neurons if can_move(model, clean, neuron))
        found += [
            coordinate(model, clean, neuron)
            for _, neuron in zip(range(per_layer), moving, strict=False)
        ]
    return found


@final
class _Runs:
    """The ladders of one study: the same random branches on the same generic prompts, drawn with a
    seed or greedily.
    """

    def __init__(
        self,
        model: Model,
        behavior: Behavior,
        settings: CoherenceStudySettings,
        folder: RunFolder | None,
        progress: Progress,
    ) -> None:
        self.model, self.behavior, self.settings, self.progress = (
            model,
            in_tokens_of(model, behavior),
            settings,
            progress,
        )
        self.ground: Ground = prepare(model, self.behavior, settings.seed)
        self.branches = drawn(model, self.ground.clean, settings.per_layer, settings.seed)
        self.measure = Measurement(
            model, self.behavior, self.ground, (self.behavior.horizon,), folder, salt="coherence"
        )
        self.prompts = tuple(
            Prompt(f"ceiling-{i}", text) for i, text in enumerate(behavior.ceiling_generic)
        )

    def sampled(self, number: int) -> list[Record]:
        """The ladder at the temperature of measured ceilings, for a first and a second seed."""
        return self._run(
            f"coherence-{self.model.name}-sampled{number}",
            CEILING_TEMPERATURE,
            self.settings.seed + number,
        )

    def greedy(self) -> list[Record]:
        """The greedy ladder."""
        return self._run(f"coherence-{self.model.name}-greedy", 0.0, self.settings.seed)

    def _run(self, name: str, temperature: float, seed: int) -> list[Record]:
        trials = dose_trials(
            self.model,
            self.behavior,
            "ceiling",
            self.branches,
            self.settings.gains,
            self.prompts,
            temperature,
            seed,
        )
        self.progress.begin(name, len(trials))
        return self.measure(name, trials, self.progress.advance)

    def sound(self, record: Record) -> bool:
        """Whether a rollout is coherent by the standard; an unscored one is not."""
        return record.coherent(self.behavior.horizon)

    def lost(
        self, records: Sequence[Record], sound: Callable[[Record], bool]
    ) -> list[NDArray[np.bool_]]:
        """For each branch whether a rollout is not `sound`, [gain, prompt]."""
        rows: dict[tuple[str, float], list[bool]] = defaultdict(list)
        for record in records:
            rows[record.branch, record.dose].append(not sound(record))
        gains = self.settings.gains
        return [
            np.array([rows[str(at.branch), gain] for gain in gains[: at.rungs(gains)]], dtype=bool)
            for at in self.branches
        ]

    def edges(self, happened: Happened) -> list[Any]:
        """The measured ceilings of all branches."""
        return measured_edges(self.branches, self.settings.gains, happened)


def _scored(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.outcomes[-1] != "unscored"]


def _passes(record: Record, floor: float, share: float) -> bool:
    return (record.distinct is None or record.distinct >= floor) and (
        record.surprised or 0.0
    ) <= share


def agreement(judged: Sequence[bool], true: Sequence[bool], sites: Sequence[str]) -> dict[str, Any]:
    """A detector's verdicts against the truth: counts, precision and recall with intervals over
    neurons, balanced accuracy.
    """
    pairs = list(zip(judged, true, sites, strict=True))
    right = {sound: [j == sound for j, t, _ in pairs if t == sound] for sound in (True, False)}
    rates = [sum(found) / len(found) for found in right.values() if found]
    said, meant = ([(t, s) for j, t, s in pairs if j], [(j, s) for j, t, s in pairs if t])
    return {
        "counts": {
            "coherent_grammatical": sum(j and t for j, t, _ in pairs),
            "coherent_broken": sum(j and not t for j, t, _ in pairs),
            "lost_grammatical": sum(t and not j for j, t, _ in pairs),
            "lost_broken": sum(not j and not t for j, t, _ in pairs),
        },
        "precision": interval([float(t) for t, _ in said], [s for _, s in said]),
        "recall": interval([float(j) for j, _ in meant], [s for _, s in meant]),
        "balanced_accuracy": sum(rates) / len(rates) if rates else None,
    }


def _by_grammar(
    runs: _Runs, records: Sequence[Record], first: Sequence[Record], domain: Domain
) -> dict[str, Any]:
    """Coherence against the exact grammar: rollout by rollout, over a grid of thresholds, and as a
    ceiling.
    """
    scored = _scored(records)
    true = [grammatical(domain, record.text, record.ended) for record in scored]
    sites = [record.branch[:-1] for record in scored]
    grid = []
    for floor, share in product(FLOORS, SHARES):
        found = agreement([_passes(record, floor, share) for record in scored], true, sites)
        rates = {name: found[name]["value"] for name in ("precision", "recall")}
        grid.append(
            {
                "floor": floor,
                "share": share,
                **rates,
                "balanced_accuracy": found["balanced_accuracy"],
            }
        )

    def by_grammar(record: Record) -> bool:
        return grammatical(domain, record.text, record.ended)

    return {
        "scored": len(scored),
        "unscored": len(records) - len(scored),
        **agreement([runs.sound(record) for record in scored], true, sites),
        "grid": grid,
        "by_gain": [_at_gain(runs, scored, true, gain) for gain in runs.settings.gains],
        "ceiling": difference(
            runs.branches,
            runs.edges(runs.lost(first, by_grammar)),
            runs.edges(runs.lost(first, runs.sound)),
        ),
    }


def _at_gain(
    runs: _Runs, scored: Sequence[Record], true: Sequence[bool], gain: float
) -> dict[str, Any]:
    there = [
        (runs.sound(record), t)
        for record, t in zip(scored, true, strict=True)
        if record.dose == gain
    ]
    share = {
        name: sum(pair[i] for pair in there) / len(there) if there else None
        for i, name in enumerate(("coherent", "grammatical"))
    }
    return {"gain": gain, **share, "n": len(there)}


def _repeatability(
    runs: _Runs, first: Sequence[Record], second: Sequence[Record]
) -> dict[str, Any]:
    """The noise of a measured ceiling: another seed on the same prompts, and other prompts with
    other seeds.

    `floor` is that of a ceiling over all prompts: of independent halves, whose noise is sqrt(2)
    times that of the whole.
    """
    lost = [runs.lost(records, runs.sound) for records in (first, second)]
    halves = split_half(runs.branches, runs.settings.gains, lost[0])
    return {
        "two_seeds": noise(runs.branches, runs.edges(lost[0]), runs.edges(lost[1])),
        "split_half": halves,
        "floor": {name: halves[name]["floor"] / math.sqrt(2) for name in ("cos", "log2")},
    }


def _by_sampling(
    runs: _Runs, sampled: Sequence[Record], greedy: Sequence[Record]
) -> dict[str, Any]:
    """Greedy ceilings beside sampled ones: how far apart, how each agrees with itself, how coherent
    the smallest dose is.
    """
    lost = {
        name: runs.lost(records, runs.sound)
        for name, records in (("sampled", sampled), ("greedy", greedy))
    }
    lowest = {
        name: float(1 - np.mean([rows[0].mean() for rows in found if len(rows)]))
        for name, found in lost.items()
    }
    return {
        "greedy_against_sampled": difference(
            runs.branches, runs.edges(lost["sampled"]), runs.edges(lost["greedy"])
        ),
        "split_half_greedy": split_half(runs.branches, runs.settings.gains, lost["greedy"]),
        "coherent_at_the_lowest_gain": lowest,
    }


def damage(model: Model, seed: int = 0, openings: Sequence[str] = OPENINGS) -> list[dict[str, Any]]:
    """The share of a model's own texts that is still called coherent after each damage, and which
    sign noticed the rest.

    The standard comes from other texts of the model. Cost: one rollout an opening, then one pass
    over the damaged texts each.
    """
    calibration = continue_openings(model, openings[:CALIBRATION], seed, tokens=TOKENS)
    pairs = list(zip(calibration.prompts, calibration.replies, strict=True))
    standard = coherence_standard(calibration.replies, surprises(model, pairs), model.vocab)
    text = continue_openings(model, openings[CALIBRATION:], seed + 1, tokens=TOKENS)
    return [
        {
            "kind": each.kind,
            "amount": each.amount,
            **_noticed(model, text, standard, each.done, seed),
        }
        for each in DAMAGES
    ]


def _noticed(
    model: Model,
    text: GenericText,
    standard: CoherenceStandard,
    done: Callable[..., Any],
    seed: int,
) -> dict[str, Any]:
    rng = random.Random(f"damage-{seed}")
    others = text.replies[1:] + text.replies[:1]
    damaged = [
        done(model, reply, other, rng) for reply, other in zip(text.replies, others, strict=True)
    ]
    pairs = [
        (prompt, tokens) for prompt, tokens in zip(text.prompts, damaged, strict=True) if tokens
    ]
    found = [
        coherent(tokens, surprise, standard)
        for (_, tokens), surprise in zip(pairs, surprises(model, pairs), strict=True)
    ]
    n = len(found)
    return {
        "coherent": sum(each.coherent is True for each in found) / n,
        "repeats": sum(
            each.distinct is not None and each.distinct < standard.distinct_floor for each in found
        )
        / n,
        "surprises": sum(
            each.surprised is not None and each.surprised > standard.surprised_share
            for each in found
        )
        / n,
        "n": n,
    }


def validated_detector(
    split: Split, cabinet: Cabinet, settings: CoherenceStudySettings, path: Path, progress: Progress
) -> dict[str, Any]:
    """The coherence study of each organism that `split` names for it, and how damaged stories are
    judged, by model.

    Kept under `path`: what is over is read back. Cost: about 40 seconds of one core an organism, 2
    a model of stories.
    """
    organisms = {
        name: _studied(name, cabinet, settings, path / name, progress)
        for name in split.detector
        if cabinet.has(name)
    }
    progress.begin("damaged stories", len(split.stories))
    told = {
        name: damage(cabinet.load(name), settings.seed)
        for name in split.stories
        if cabinet.has(name)
    }
    return {"organisms": organisms, "damage": plain(told)}


def _studied(
    name: str, cabinet: Cabinet, settings: CoherenceStudySettings, path: Path, progress: Progress
) -> dict[str, Any]:
    model = cabinet.load(name)
    manifest = {
        "command": "validate detector",
        "model_sha256": model.sha256,
        "settings": asdict(settings),
        "code": code_version(),
    }
    folder = RunFolder.open(path, manifest)
    if not folder.finished:
        behavior = load_behavior("refusal", planted_world(model.folder))
        write_json(path / AUDIT, coherence_study(model, behavior, settings, folder, progress))
        folder.drop_parts()
    return dict(read_json(path / AUDIT))
