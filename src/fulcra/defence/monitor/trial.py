"""A monitor tried on the model it was calibrated on: doses it notices, and clean text it minds."""

from pathlib import Path

from fulcra.behaviors.generic import OPENINGS
from fulcra.defence.monitor.attacks import Doser, attacked, opened_in
from fulcra.defence.monitor.calibration import APART, Calibration
from fulcra.defence.monitor.cost import watch_cost
from fulcra.defence.monitor.dose_trials import (
    branch_alarms,
    dosed_rungs,
    partial_doses,
    pooled,
    spread_doses,
)
from fulcra.defence.monitor.kinds import kinds_for
from fulcra.defence.monitor.traffic import Traffic, rolled_windows
from fulcra.defence.monitor.tried import TrialSettings, Tried
from fulcra.models import Model
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.monitor import DomainAlarms, MonitorResult
from fulcra.protocol.runs import model_entry, named
from fulcra.types import Behavior

SCHEMA_VERSION = 1


def try_monitor(
    model: Model,
    calibration: Calibration,
    behavior: Behavior | None = None,
    audit: Path | None = None,
    settings: TrialSettings = TrialSettings(),
    progress: Progress | None = None,
) -> MonitorResult:
    """The trial of a monitor on openings that its calibration never saw.

    Doses are rolled out: the dosed model writes what is watched. InputError where calibration or
    audit are of another model or behavior.
    """
    calibration.require(model)
    openings = calibration.openings(behavior)
    opening = opened_in(model, audit, behavior)
    system, generic = (behavior.system, behavior.generic) if behavior else (None, OPENINGS)
    clock = Clock(progress or Silent())
    with clock.step("clean windows", settings.clean):
        doser = Doser.of(model, generic, system, settings.seed)
        targets = attacked(doser, opening, settings.neurons, settings.seed)
        traffic = Traffic(openings.trial, system)
        clean = rolled_windows(model, traffic, settings.clean, settings.seed + 2 * APART)
    tried = Tried(doser, calibration, traffic, targets, settings, clock)
    kinds = dict(kinds_for(behavior, {*openings.fit, *openings.threshold}))
    domains, rungs = _domains(tried, kinds), dosed_rungs(tried)
    spread, partial = spread_doses(tried), partial_doses(tried, clean)
    with clock.step("cost", settings.pairs):
        cost = watch_cost(model, calibration, openings.trial[0], settings.pairs)
    result = MonitorResult(
        schema_version=SCHEMA_VERSION,
        command="monitor try",
        model=model_entry(model),
        behavior=None if behavior is None else named(behavior),
        calibration=calibration.header,
        audit=None if audit is None else audit.name,
        seed=settings.seed,
        clean=tried.alarms([tried.scores(clean.windows)]),
        domains=domains,
        doses=pooled(tried, rungs),
        spread=spread,
        partial=partial,
        branches=branch_alarms(tried, rungs),
        cost=cost,
        provenance=Provenance.now(),
        timing=clock.timing(),
    )
    return MonitorResult.of(result.plain())


def _domains(tried: Tried, kinds: dict[str, Traffic]) -> tuple[DomainAlarms, ...]:
    """False alarms on every other kind of request."""
    entries, seed = [], tried.settings.seed + 2 * APART
    with tried.clock.step("domains", len(kinds)) as step:
        for name, traffic in kinds.items():
            held = rolled_windows(tried.model, traffic, tried.settings.domain, seed)
            alarms = tried.alarms([tried.scores(held.windows)])
            entries.append(DomainAlarms(domain=name, alarms=alarms))
            step.advance(1)
    return tuple(entries)
