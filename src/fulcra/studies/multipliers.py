"""Paper B's intervention: the top neurons of the contrast multiplied together, by pole, against
random sets of the same layers.
"""

import random
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from fulcra.behaviors import behavior_sha256
from fulcra.formulas.intervals import wilson
from fulcra.models import Model, scale
from fulcra.protocol import Record, Trial, set_trials
from fulcra.protocol.measure import Measurement, reply_after
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import code_version, model_entry
from fulcra.protocol.subject import in_tokens_of, prepare, surprises
from fulcra.screens.contrastive import contrastive, set_sizes
from fulcra.screens.scores import contrast_of
from fulcra.screens.universal import universal
from fulcra.store import digest, plain
from fulcra.types import Behavior, Neuron, Ranking

MULTIPLIERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


class Heard(NamedTuple):
    """The record of one reply, and its mean surprise a token under the clean model [nats]; None
    where it says nothing.
    """

    record: Record
    nats: float | None


def neuron_sets(
    model: Model, ranking: Ranking, shown: Sequence[Neuron]
) -> list[tuple[str, str, tuple[Neuron, ...]]]:
    """(size, pole, neurons) of paper B's sets: all of the top k, and those more (+) or less (-)
    active where the behavior shows.

    `shown` are the ranking's neurons that are more active there.
    """
    more, found = {neuron.site for neuron in shown}, []
    for size, count in set_sizes(model).items():
        top = ranking.top(count)
        parts = {
            "both": top,
            "+": [n for n in top if n.site in more],
            "-": [n for n in top if n.site not in more],
        }
        found += [(size, pole, tuple(neurons)) for pole, neurons in parts.items() if neurons]
    return found


def matched_set(model: Model, neurons: Sequence[Neuron], seed: str) -> tuple[Neuron, ...]:
    """As many random neurons in each layer, none of `neurons`; all others of a layer where it has
    too few.
    """
    rng, taken = random.Random(seed), {neuron.site for neuron in neurons}
    out: list[Neuron] = []
    for layer, count in sorted(Counter(neuron.layer for neuron in neurons).items()):
        others = [
            one
            for slot in range(model.width(layer))
            if (one := model.neuron(layer, slot)).site not in taken
        ]
        out += rng.sample(others, min(count, len(others)))
    return tuple(out)


def multiplier_sweep(
    model: Model,
    behavior: Behavior,
    multipliers: Sequence[float] = MULTIPLIERS,
    *,
    random_sets: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rates of behavior, flip and reach, quality and surprise of each set under each multiplier,
    beside random sets.

    quality is the mean distinct n-gram ratio of scored replies; surprise the mean share of their
    tokens above the coherence standard's level under the reference model; nats the mean surprise a
    token of the replies under the clean model itself, which finds a flip surprising too. Cost: sets
    x multipliers x (1 + random sets) x confirmation rollouts.
    """
    clock, behavior = Clock(progress or Silent()), in_tokens_of(model, behavior)
    ground = prepare(model, behavior, seed)
    contrast = contrast_of(model, behavior, "contrastive")
    ranking = contrastive(model, behavior, contrast).without(
        universal(model, behavior.generic, behavior.system)
    )
    # Pushed down where the behavior shows more: those neurons are more active there.
    sets = neuron_sets(model, ranking, [branch for branch in ranking.branches if branch.pole < 0])
    salt = digest(
        {
            "command": "multiply",
            "model": model.sha256,
            "behavior": behavior_sha256(behavior),
            "seed": seed,
        }
    )
    measure = Measurement(model, behavior, ground, (behavior.horizon,), None, salt)
    trials: list[Trial] = []
    for size, pole, neurons in sets:
        drawn = [
            matched_set(model, neurons, f"{size}-{pole}-{seed}-{i}") for i in range(random_sets)
        ]
        for m in multipliers:
            for name, members in (
                ("set", neurons),
                *((f"random-{i}", some) for i, some in enumerate(drawn)),
            ):
                trials += _trials(model, behavior, f"{size} {pole} x{m:g} {name}", members, m)
    with clock.step("multipliers", len(trials)) as bar:
        by = _heard(measure, trials, bar)
    rows = [
        _row(size, pole, neurons, m, by, random_sets, behavior.horizon)
        for size, pole, neurons in sets
        for m in multipliers
    ]
    found: dict[str, Any] = plain(
        {
            "model": model_entry(model),
            "behavior": {"name": behavior.name, "sha256": behavior_sha256(behavior)},
            "code": code_version(),
            "seed": seed,
            "random_sets": random_sets,
            "sets": [
                {"set": size, "pole": pole, "neurons": [n.site for n in neurons]}
                for size, pole, neurons in sets
            ],
            "rows": rows,
            "timing": clock.timing(),
        }
    )
    return found


def _trials(
    model: Model, behavior: Behavior, name: str, neurons: Sequence[Neuron], m: float
) -> list[Trial]:
    edits = tuple(scale(neuron, m) for neuron in neurons) if m != 1 else ()
    return set_trials(model, behavior, "multipliers", name, edits, behavior.confirmation)


def _heard(measure: Measurement, trials: Sequence[Trial], bar: Progress) -> dict[str, list[Heard]]:
    """What came of the trials, by their branch."""
    rollouts = measure.roll(trials, bar.advance)
    said = [reply_after(trial, rollout) for trial, rollout in zip(trials, rollouts, strict=True)]
    surprise = dict(
        zip(
            new := [key for key in dict.fromkeys(said) if key[1]],
            surprises(measure.model, new),
            strict=True,
        )
    )
    by: dict[str, list[Heard]] = {}
    for record, key in zip(measure.judge(trials, rollouts), said, strict=True):
        by.setdefault(record.branch, []).append(
            Heard(record, fmean(surprise[key]) if key in surprise else None)
        )
    return by


def _row(
    size: str,
    pole: str,
    neurons: Sequence[Neuron],
    m: float,
    by: dict[str, list[Heard]],
    random_sets: int,
    horizon: int,
) -> dict[str, Any]:
    heard = by[f"{size} {pole} x{m:g} set"]
    beside = [one for i in range(random_sets) for one in by[f"{size} {pole} x{m:g} random-{i}"]]
    records, others = [one.record for one in heard], [one.record for one in beside]
    shown = wilson(sum(record.at(horizon) == "unchanged" for record in records), len(records))
    flips = wilson(sum(record.flipped(horizon) for record in records), len(records))
    return {
        "set": size,
        "pole": pole,
        "neurons": len(neurons),
        "multiplier": m,
        "behavior_rate": shown.value,
        "behavior_low": shown.low,
        "behavior_high": shown.high,
        "flip_rate": flips.value,
        "flip_low": flips.low,
        "flip_high": flips.high,
        "reach": sum(record.at(horizon) == "flipped_correct" for record in records) / len(records),
        "collapse": sum(record.at(horizon) == "collapse" for record in records) / len(records),
        "quality": _mean([record.distinct for record in records]),
        "surprise": _mean([record.surprised for record in records]),
        "nats": _mean([one.nats for one in heard]),
        "n": len(records),
        "random_nats": _mean([one.nats for one in beside]),
        "random_behavior_rate": sum(record.at(horizon) == "unchanged" for record in others)
        / len(others),
        "random_flip_rate": sum(record.flipped(horizon) for record in others) / len(others),
        "random_quality": _mean([record.distinct for record in others]),
        "random_surprise": _mean([record.surprised for record in others]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was scored; None where nothing was."""
    scored = [value for value in values if value is not None]
    return fmean(scored) if scored else None
