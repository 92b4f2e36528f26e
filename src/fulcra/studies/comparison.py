"""Models beside each other, behavior by behavior: where their circuits lie, what they share, what
one's set does in another.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.labelled import Labelled, halves
from fulcra.errors import InputError
from fulcra.formulas.overlap import depth, overlap
from fulcra.models import Model, scale
from fulcra.protocol import outcome_rates, set_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.runs import SCHEMA_VERSION, model_entry, versions
from fulcra.protocol.subject import Ground, in_tokens_of, prepare
from fulcra.screens.contrastive import contrastive
from fulcra.screens.scores import Clean, Units, contrast_of
from fulcra.screens.universal import universal
from fulcra.store import plain
from fulcra.studies.detector import figures, neuron_scores
from fulcra.types import Behavior, Neuron, Ranking

#: A set of this share of all MLP neurons is paper B's; the other is for models in which that is a
#: handful.
SHARES = (0.001, 0.01)
UNITS: tuple[Units, ...] = ("raw", "gain")


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """The fixed size beside the shares of all neurons, the seed, whether sets are ablated, and
    whether universal neurons stay in.
    """

    top_k: int = 32
    seed: int = 0
    ablate: bool = True
    keep_universal: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """One model as one behavior, in its tokens, reads it: contrastive rankings by unit without the
    universal neurons, the best neuron of the first halves, the ground.
    """

    model: Model
    behavior: Behavior
    ground: Ground
    universal: tuple[Neuron, ...]
    rankings: dict[Units, Ranking]
    neuron: Neuron
    fit: Labelled
    score: Labelled


def compare(
    models: Sequence[Model],
    behaviors: Sequence[Behavior],
    settings: CompareSettings = CompareSettings(),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Profiles, overlaps, ablations and borrowed detectors of two or more models (B's tables 6-8,
    C's base checkpoint).

    Sets are the top of |contrast|, in activation and in gain units, universal neurons left out.
    Where shapes differ a set has no meaning in the other model: that pair is refused with its
    reason, and profiles stand alone. Cost: seconds a model and behavior, and with `ablate` a few
    dozen short rollouts a pair.
    """
    if len({model.name for model in models}) < 2:
        raise InputError(
            f"compare: {len(models)} models of {len({m.name for m in models})} names; give two or"
            " more different ones"
        )
    if not behaviors:
        raise InputError("compare: no behavior was given; name one or more")
    bar = progress or Silent()
    found = [_behavior(models, behavior, settings, bar) for behavior in behaviors]
    content: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "command": "compare",
            "models": [model_entry(model) for model in models],
            "settings": {**asdict(settings), "shares": SHARES},
            "behaviors": found,
            "provenance": versions(),
        }
    )
    return content


def _behavior(
    models: Sequence[Model], behavior: Behavior, settings: CompareSettings, bar: Progress
) -> dict[str, Any]:
    bar.begin(behavior.name, len(models) * (2 if settings.ablate else 1))
    reads = []
    for model in models:
        reads.append(_read(model, behavior, settings))
        bar.advance(1)
    ablations: list[dict[str, Any]] = []
    for own in reads if settings.ablate else ():
        ablations += _ablations(own, reads, settings)
        bar.advance(1)
    return {
        "name": behavior.name,
        "sha256": behavior_sha256(behavior),
        "labels": dict(behavior.labels),
        "fit": reads[0].fit.counts,
        "score": reads[0].score.counts,
        "horizons": {read.model.name: read.behavior.horizon for read in reads},
        "universal": {
            read.model.name: [neuron.site for neuron in read.universal] for read in reads
        },
        "sets": [entry for read in reads for entry in _profiles(read, settings)],
        "overlaps": [
            entry
            for one, other in combinations(reads, 2)
            for entry in _overlaps(one, other, settings)
        ],
        "ablations": ablations,
        "detectors": [
            _borrowed(own, other, behavior, settings.seed) for own in reads for other in reads
        ],
    }


def _read(model: Model, behavior: Behavior, settings: CompareSettings) -> Read:
    behavior = in_tokens_of(model, behavior)
    ground, contrast = (
        prepare(model, behavior, settings.seed),
        contrast_of(model, behavior, "contrastive"),
    )
    everywhere = (
        () if settings.keep_universal else universal(model, behavior.generic, behavior.system)
    )
    clean = Clean(ground.text, ground.clean)
    rankings = {
        unit: contrastive(model, behavior, contrast, units=unit, clean=clean).without(everywhere)
        for unit in UNITS
    }
    first, fit, score = halves(behavior, settings.seed)
    best = contrastive(model, first).without(everywhere).branches[0]
    return Read(model, behavior, ground, everywhere, rankings, best, fit, score)


def sizes(model: Model, settings: CompareSettings) -> dict[str, int]:
    """The sizes of the compared sets by name: shares of all neurons (at least one) and a fixed
    count, at most all.
    """
    total = _total(model)
    shares = {f"{100 * share:g} %": max(1, round(share * total)) for share in SHARES}
    return {**shares, f"top {settings.top_k}": min(settings.top_k, total)}


def _total(model: Model) -> int:
    return sum(model.width(layer) for layer in range(model.n_layers))


def _profiles(read: Read, settings: CompareSettings) -> list[dict[str, Any]]:
    """Where the sets lie, and where neurons drawn at random would."""
    model, found = read.model, []
    chance = depth(
        [layer for layer in range(model.n_layers) for _ in range(model.width(layer))],
        model.n_layers,
    )
    for unit in UNITS:
        for name, size in sizes(model, settings).items():
            layers = [neuron.layer for neuron in read.rankings[unit].top(size)]
            found.append(
                {
                    "model": model.name,
                    "units": unit,
                    "set": name,
                    "size": len(layers),
                    "profile": depth(layers, model.n_layers)._asdict(),
                    "chance": chance._asdict(),
                    "layers": [layers.count(layer) for layer in range(model.n_layers)],
                }
            )
    return found


def unlike(one: Model, other: Model) -> str | None:
    """Why a neuron of one model names none in the other; None where it does."""
    shapes = [[model.width(layer) for layer in range(model.n_layers)] for model in (one, other)]
    if shapes[0] == shapes[1] and one.n_experts == other.n_experts:
        return None
    sizes = [
        f"{model.name} has {model.n_layers} layers of up to {model.d_mlp} neurons"
        for model in (one, other)
    ]
    return f"{sizes[0]}, {sizes[1]}: no neuron of one names a neuron of the other"


def _overlaps(one: Read, other: Read, settings: CompareSettings) -> list[dict[str, Any]]:
    pair = {"one": one.model.name, "other": other.model.name}
    if reason := unlike(one.model, other.model):
        return [{**pair, "refused": reason}]
    found = []
    for unit in UNITS:
        for name, size in sizes(one.model, settings).items():
            tops = [
                {(n.layer, n.index, n.expert): n.pole for n in read.rankings[unit].top(size)}
                for read in (one, other)
            ]
            both = tops[0].keys() & tops[1].keys()
            shared = overlap(set(tops[0]), set(tops[1]), _total(one.model))
            same = sum(tops[0][key] == tops[1][key] for key in both)
            found.append(
                {
                    **pair,
                    "units": unit,
                    "set": name,
                    "size": size,
                    **shared._asdict(),
                    "same_pole": same,
                }
            )
    return found


def _ablations(own: Read, reads: Sequence[Read], settings: CompareSettings) -> list[dict[str, Any]]:
    """What the confirmation prompts become in one model: undosed, with every model's set ablated,
    and with random sets alike in depth.
    """
    behavior = own.behavior
    measure = Measurement(
        own.model, behavior, own.ground, (behavior.horizon,), None, salt="compare"
    )
    entries: list[dict[str, Any]] = [{"set_of": None, "set": "undosed", "size": 0, "neurons": []}]
    for read in reads:
        if unlike(read.model, own.model) is None:
            named = [
                (share, size) for share, size in sizes(read.model, settings).items() if "%" in share
            ]
            entries += [
                _entry(read.model.name, share, read.rankings["raw"].top(size))
                for share, size in named
            ]
    mine = [entry for entry in entries if entry["set_of"] == own.model.name]
    entries += [
        _entry("random", entry["set"], _alike(own.model, entry["neurons"], settings.seed))
        for entry in mine
    ]
    trials = [
        trial
        for i, entry in enumerate(entries)
        for trial in set_trials(
            own.model,
            behavior,
            "ablation",
            str(i),
            tuple(scale(n, 0.0) for n in entry["neurons"]),
            behavior.confirmation,
        )
    ]
    records = measure("ablation", trials)
    found = []
    for i, entry in enumerate(entries):
        some = [record for record in records if record.branch == str(i)]
        rates = outcome_rates(some, behavior.horizon)
        found.append(
            {
                **entry,
                "in": own.model.name,
                "neurons": [n.site for n in entry["neurons"]],
                "rates": rates,
                "n": len(some),
            }
        )
    return found


def _entry(origin: str, share: str, neurons: Sequence[Neuron]) -> dict[str, Any]:
    return {"set_of": origin, "set": share, "size": len(neurons), "neurons": list(neurons)}


def _alike(model: Model, neurons: Sequence[Neuron], seed: int) -> list[Neuron]:
    """As many random neurons in each layer, none of them in the set."""
    rng, found = random.Random(f"alike-{seed}"), []
    for layer in sorted({neuron.layer for neuron in neurons}):
        own = {model.slot(neuron) for neuron in neurons if neuron.layer == layer}
        others = [slot for slot in range(model.width(layer)) if slot not in own]
        found += [
            model.neuron(layer, slot) for slot in rng.sample(others, min(len(own), len(others)))
        ]
    return found


def _borrowed(own: Read, other: Read, behavior: Behavior, seed: int) -> dict[str, Any]:
    """One model's best neuron read in another as a detector; direction and threshold from the
    reader's first halves.
    """
    entry = {"neuron": own.neuron.site, "of": own.model.name, "in": other.model.name}
    if reason := unlike(own.model, other.model):
        return {**entry, "refused": reason}
    try:
        scored = neuron_scores(other.model, own.neuron, other.fit, other.score, behavior.system)
        return {**entry, **figures(scored, other.fit, other.score, seed)}
    except InputError as error:
        return {**entry, "refused": str(error)}
