"""What an audit would cost: every step of it on a small part of what it would do, nothing kept."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import torch

from fulcra.engines.estimate import Estimate, estimate, timed
from fulcra.engines.memory import held_bytes
from fulcra.models import Model
from fulcra.protocol.attacks import attack_trials, direction_trials
from fulcra.protocol.draw import Draw, check_size
from fulcra.protocol.measure import PART, Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.records import Record
from fulcra.protocol.results.audit import SettingsEntry
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.cost import Cost, CostResult
from fulcra.protocol.stages import (
    AuditSettings,
    baseline_trials,
    control_trials,
    dose_screen,
    dosed_stages,
    draw_of,
    forecast,
    pin_screen,
)
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.directions import difference_directions
from fulcra.types import Behavior, Neuron, Ranking, RolloutRequest

SCHEMA_VERSION = 1
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
    """The expected cost of each step of `audit` on this machine; their sum is the audit's.

    Nothing is written.

    The clean steps are run as they are, all others on a part: rollouts and their judging together,
    and with stand-ins for the neurons that would be measured. Random controls count in full,
    although a cache may hold them. Cost: about a tenth of an audit of the default size.
    """
    check_size(model, settings.sizes)
    with Clock(progress or Silent()).step("calibration", 0):
        subject, steps = _clean(model, behavior, settings)
        rankings = [subject.circuit]
        if settings.screen == "window":
            candidates = sweep_candidates(model, subject.ground.stream, subject.gaps)
            steps |= _screens(subject, candidates, settings.neurons)
            rankings = [_stand_ins(candidates)]
        draw = draw_of(subject, rankings, settings)
        steps["forecast"] = _forecast(subject, draw, settings)
        for name, trials in _stages(subject, draw, settings).items():
            steps[name] = _stage(subject, name, trials)
        return steps


def estimated(
    model: Model, behavior: Behavior, settings: AuditSettings, progress: Progress | None = None
) -> CostResult:
    """The estimate of an audit: totals, then each step's cost."""
    steps = estimate_audit(model, behavior, settings, progress)
    return CostResult(
        schema_version=SCHEMA_VERSION,
        provenance=Provenance.now(),
        model=model.name,
        behavior=behavior.name,
        settings=SettingsEntry(**asdict(settings)),
        threads=torch.get_num_threads(),
        **asdict(sum(steps.values(), Estimate())),
        steps={name: Cost(**asdict(step)) for name, step in steps.items()},
    )


def _clean(
    model: Model, behavior: Behavior, settings: AuditSettings
) -> tuple[Subject, dict[str, Estimate]]:
    """The subject and what it took: these steps run as in the audit."""
    subject, ground = timed(lambda: _prepared(model, behavior, settings.seed))
    trials, replies = baseline_trials(subject), subject.ground.text.replies
    bytes_held = held_bytes(model.device)
    records, baseline = timed(lambda: _judged(subject, "baseline", trials))
    ground = replace(ground, rollouts=len(behavior.generic), tokens=sum(map(len, replies)))
    tokens = sum(record.tokens for record in records)
    baseline = replace(baseline, rollouts=len(trials), tokens=tokens)
    return subject, {
        "clean ground": replace(ground, bytes=bytes_held),
        "baseline": replace(baseline, bytes=bytes_held),
    }


def _prepared(model: Model, behavior: Behavior, seed: int) -> Subject:
    """The subject with everything computed that an audit asks it for."""
    subject = Subject.of(model, behavior, seed)
    _ = subject.openings, subject.circuit, subject.extent
    return subject


def _judged(subject: Subject, name: str, trials: Sequence[Trial]) -> list[Record]:
    return Measurement(subject, subject.horizons)(name, trials)


def _screens(subject: Subject, candidates: Sequence[Neuron], neurons: int) -> dict[str, Estimate]:
    """What a candidate of each sweep costs, by one without a shortlist and one with."""
    size = min(len(candidates), max(FEWEST, len(candidates) // SCREENED))
    part = random.Random(subject.seed).sample(candidates, size)
    count, steps = max(1, neurons // SCREENED), {}
    for name, screen in (("screen doses", dose_screen), ("screen pins", pin_screen)):
        swept, listed = (_cost(screen, subject, part, length) for length in (0, count))
        whole = swept.times(len(candidates) / len(part))
        whole += listed.minus(swept).times(neurons / count)
        steps[name] = replace(whole, bytes=held_bytes(subject.model.device))
    return steps


def _cost(
    screen: Callable[[Subject, Sequence[Neuron], int, Progress], Ranking],
    subject: Subject,
    candidates: Sequence[Neuron],
    length: int,
) -> Estimate:
    """What one sweep takes that lists so many."""
    return timed(partial(screen, subject, candidates, length, Silent()))[1]


def _stand_ins(candidates: Sequence[Neuron]) -> Ranking:
    """Stand-ins for what the screens would choose: any of their candidates."""
    branches = random.Random("stand-ins").sample(candidates, len(candidates))
    return Ranking("stand-ins", tuple(branches), (0.0,) * len(branches))


def _forecast(subject: Subject, draw: Draw, settings: AuditSettings) -> Estimate:
    branches = draw.branches[:: max(1, len(draw.branches) // FORECAST)]
    _, cost = timed(lambda: forecast(subject, branches, settings.gains, Silent()))
    whole = cost.times(len(draw.branches) / len(branches))
    return replace(whole, bytes=held_bytes(subject.model.device))


def _stages(subject: Subject, draw: Draw, settings: AuditSettings) -> dict[str, list[Trial]]:
    """Every rollout after the forecast, stage by stage."""
    directions = difference_directions(subject.model, subject.behavior)
    context = attack_trials(subject, directions)
    for direction in directions[:1]:
        context += direction_trials(subject, direction)
    stages = dosed_stages(subject, draw.branches, settings.gains)
    controls = control_trials(subject, draw.controls, settings.gains)
    return {**stages, "context": context, "control": controls}


def _stage(subject: Subject, name: str, trials: Sequence[Trial]) -> Estimate:
    """Rollouts and their judging, as `Measurement` does both."""

    def run(places: Sequence[int], requests: Sequence[RolloutRequest]) -> int:
        part = [replace(trials[i], request=q) for i, q in zip(places, requests, strict=True)]
        return sum(record.tokens for record in _judged(subject, name, part))

    return estimate(subject.model, [trial.request for trial in trials], run, PART)
