"""What an audit would cost, before it runs: every step of it on a small part of what it would do,
nothing kept.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from fulcra.engines.estimate import Estimate, estimate, timed
from fulcra.engines.memory import held_bytes
from fulcra.models import Model
from fulcra.protocol import Record, Trial
from fulcra.protocol.attacks import context_trials, direction_trials
from fulcra.protocol.draw import Cast, check_size
from fulcra.protocol.measure import PART, Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.stages import (
    AuditSettings,
    baseline_trials,
    cast_of,
    control_trials,
    dose_screen,
    dosed_stages,
    forecast,
    pin_screen,
)
from fulcra.protocol.subject import Undosed, horizons_of, in_tokens_of, undosed
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.directions import difference_directions
from fulcra.store import plain
from fulcra.types import Behavior, Neuron, Ranking, RolloutRequest

#: A screen is run on one in so many of its candidates, and on so many at least.
SCREENED, FEWEST = 16, 32
#: Branches that are forecast to see what a forecast takes.
FORECAST = 8


def estimate_audit(
    model: Model,
    behavior: Behavior,
    settings: AuditSettings = AuditSettings(),
    progress: Progress | None = None,
) -> dict[str, Estimate]:
    """The expected cost of each step of `audit` on this machine; their sum is the audit's. Nothing
    is written.

    The clean steps are run as they are, all others on a part: rollouts and their judging together,
    and with stand-ins for the neurons that would be measured. Random controls count in full,
    although a cache may hold them. Cost: about a tenth of an audit of the default size.
    """
    behavior = in_tokens_of(model, behavior)
    check_size(model, settings.neurons, settings.random, settings.controls)
    with Clock(progress or Silent()).step("calibration", 0):
        known, found = _clean(model, behavior, settings)
        rankings = [known.circuit]
        if settings.screen == "window":
            candidates = sweep_candidates(model, known.ground.clean, known.gaps)
            found |= _screens(model, behavior, known, candidates, settings)
            rankings = [_anyone(candidates)]
        cast = cast_of(model, known, rankings, settings)
        found["forecast"] = _forecast(model, cast, known, settings)
        directions = difference_directions(model, behavior)
        context = context_trials(model, behavior, known.circuit, directions) + [
            trial
            for direction in directions[:1]
            for trial in direction_trials(model, behavior, direction)
        ]
        stages = dosed_stages(model, behavior, cast, known, settings)
        stages |= {"context": context, "control": control_trials(model, behavior, cast, settings)}
        return found | {
            name: _stage(model, behavior, known, name, trials) for name, trials in stages.items()
        }


def estimated(
    model: Model, behavior: Behavior, settings: AuditSettings, progress: Progress | None = None
) -> dict[str, Any]:
    """The estimate as `fulcra audit --dry-run --json` prints it: totals, and the cost of each
    step.
    """
    steps = estimate_audit(model, behavior, settings, progress)
    asked = {
        "model": model.name,
        "behavior": behavior.name,
        "settings": asdict(settings),
        "threads": torch.get_num_threads(),
    }
    made: dict[str, Any] = plain(
        asked
        | asdict(sum(steps.values(), Estimate()))
        | {"steps": {n: asdict(one) for n, one in steps.items()}}
    )
    return made


def _clean(
    model: Model, behavior: Behavior, settings: AuditSettings
) -> tuple[Undosed, dict[str, Estimate]]:
    """What is known undosed, and what it took: these steps run as in the audit."""
    known, ground = timed(lambda: undosed(model, behavior, settings.seed))
    trials, replies, held = (
        baseline_trials(model, behavior),
        known.ground.text.replies,
        held_bytes(model.device),
    )
    records, baseline = timed(lambda: _judged(model, behavior, known, "baseline", trials))
    return known, {
        "clean ground": replace(
            ground, rollouts=len(behavior.generic), tokens=sum(map(len, replies)), bytes=held
        ),
        "baseline": replace(
            baseline,
            rollouts=len(trials),
            tokens=sum(record.tokens for record in records),
            bytes=held,
        ),
    }


def _judged(
    model: Model, behavior: Behavior, known: Undosed, name: str, trials: Sequence[Trial]
) -> list[Record]:
    return Measurement(model, behavior, known.ground, horizons_of(behavior), None, salt="")(
        name, trials
    )


def _screens(
    model: Model,
    behavior: Behavior,
    known: Undosed,
    candidates: Sequence[Neuron],
    settings: AuditSettings,
) -> dict[str, Estimate]:
    """A sweep of some candidates without a shortlist, for what a candidate costs, and with one, for
    what the shortlist costs.
    """
    some = random.Random(settings.seed).sample(
        candidates, min(len(candidates), max(FEWEST, len(candidates) // SCREENED))
    )
    count, found = max(1, settings.neurons // SCREENED), {}
    for name, screen in (("screen doses", dose_screen), ("screen pins", pin_screen)):
        swept, listed = (
            timed(
                partial(
                    screen,
                    model,
                    behavior,
                    known,
                    some,
                    replace(settings, neurons=neurons),
                    Silent(),
                )
            )[1]
            for neurons in (0, count)
        )
        whole = swept.times(len(candidates) / len(some)) + listed.minus(swept).times(
            settings.neurons / count
        )
        found[name] = replace(whole, bytes=held_bytes(model.device))
    return found


def _anyone(candidates: Sequence[Neuron]) -> Ranking:
    """Stand-ins for what the screens would choose: any of their candidates."""
    branches = random.Random("stand-ins").sample(candidates, len(candidates))
    return Ranking("stand-ins", tuple(branches), (0.0,) * len(branches))


def _forecast(model: Model, cast: Cast, known: Undosed, settings: AuditSettings) -> Estimate:
    branches = cast.branches[:: max(1, len(cast.branches) // FORECAST)]
    _, cost = timed(lambda: forecast(model, branches, known, settings, Silent()))
    return replace(cost.times(len(cast.branches) / len(branches)), bytes=held_bytes(model.device))


def _stage(
    model: Model, behavior: Behavior, known: Undosed, name: str, trials: Sequence[Trial]
) -> Estimate:
    """Rollouts and their judging, as `Measurement` does both."""

    def run(places: Sequence[int], requests: Sequence[RolloutRequest]) -> int:
        some = [
            replace(trials[place], request=request)
            for place, request in zip(places, requests, strict=True)
        ]
        return sum(record.tokens for record in _judged(model, behavior, known, name, some))

    return estimate(model, [trial.request for trial in trials], run, PART)
