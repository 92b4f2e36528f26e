"""The audit: what one neuron can do to one behavior of one model, predicted first, then
measured.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from fulcra.behaviors import behavior_sha256
from fulcra.models import Model
from fulcra.protocol import Record
from fulcra.protocol.attacks import measure_context
from fulcra.protocol.commit import branch_entry, commit, plan_of
from fulcra.protocol.draw import Cast, check_size
from fulcra.protocol.measure import Measurement, measured_controls
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import code_version, document, save
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
from fulcra.screens.pins import MULTIPLES
from fulcra.store import AUDIT, RunFolder, digest, plain, read_json
from fulcra.types import Behavior, Edge, Neuron, Ranking


def audit(
    model: Model,
    behavior: Behavior,
    settings: AuditSettings = AuditSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The whole audit of one behavior; with `out`, all its files are written there and an
    interrupted run goes on.

    Returns the content of audit.json; of a finished run, what stands there. Cost: tens of thousands
    of short rollouts, minutes for a bundled organism; `estimate_audit` tells before.
    """
    clock, behavior = Clock(progress or Silent()), in_tokens_of(model, behavior)
    check_size(model, settings.neurons, settings.random, settings.controls)
    manifest = _manifest(model, behavior, settings)
    folder = RunFolder.open(out, manifest) if out is not None else None
    if folder is not None and folder.finished:
        return dict(read_json(folder.path / AUDIT))
    with clock.step("clean ground", 0):
        known = undosed(model, behavior, settings.seed)
    measure = Measurement(
        model,
        behavior,
        known.ground,
        horizons_of(behavior),
        folder,
        digest(manifest),
        settings.keep_text,
    )
    baseline = baseline_trials(model, behavior)
    with clock.step("baseline", len(baseline)) as bar:
        records = measure("baseline", baseline, bar.advance)
    rankings = _screened(model, behavior, known, settings, clock)
    with clock.step("cast", 0):
        cast = cast_of(model, known, rankings, settings)
    with clock.step("forecast", len(cast.branches)) as bar:
        ceilings, triggers = forecast(model, cast.branches, known, settings, bar)
    branches = _entries(model, cast, known.gaps, ceilings, triggers, settings.gains)
    content = plain(
        {
            "plan": plan_of(manifest, model, behavior, known, settings),
            "branches": branches,
            **_controls(cast, settings.gains),
        }
    )
    sha256 = commit(folder, content)
    records += _measured(measure, model, behavior, cast, known, settings, content, clock)
    found = document(model, behavior, known.ground, cast, content, sha256, records)
    found["timing"] = clock.timing()
    if folder is not None:
        save(folder, found, records)
    return found


def _manifest(model: Model, behavior: Behavior, settings: AuditSettings) -> dict[str, Any]:
    return {
        "command": "audit",
        "model": model.name,
        "model_sha256": model.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "settings": asdict(settings),
        "code": code_version(),
    }


def _screened(
    model: Model, behavior: Behavior, known: Undosed, settings: AuditSettings, clock: Clock
) -> list[Ranking]:
    """Who is worth measuring: half by predicted additive window, half by predicted flip under a
    pin; or by contrast alone.
    """
    if settings.screen == "contrastive":
        return [known.circuit]
    candidates = sweep_candidates(model, known.ground.clean, known.gaps)
    with clock.step("screen doses", 2 * len(candidates)) as bar:
        doses = dose_screen(model, behavior, known, candidates, settings, bar)
    with clock.step("screen pins", len(MULTIPLES) * len(candidates)) as bar:
        return [doses, pin_screen(model, behavior, known, candidates, settings, bar)]


def _entries(
    model: Model,
    cast: Cast,
    gaps: Tensor,
    ceilings: Sequence[Edge],
    triggers: Sequence[Edge | None],
    gains: Sequence[float],
) -> list[dict[str, Any]]:
    """The committed prediction of every branch, and how many first rungs of its ladder a norm lets
    exist.
    """
    found = []
    for i, (at, ceiling, trigger) in enumerate(zip(cast.branches, ceilings, triggers, strict=True)):
        gap = (
            float(gaps[at.branch.layer, model.slot(at.branch)])
            if isinstance(at.branch, Neuron)
            else None
        )
        found.append(
            {**branch_entry(cast.source(i), at, gap, ceiling, trigger), "rungs": at.rungs(gains)}
        )
    return found


def _controls(cast: Cast, gains: Sequence[float]) -> dict[str, Any]:
    """The controls by name, and of each how many first rungs a norm lets exist."""
    return {
        "controls": [str(at.branch) for at in cast.controls],
        "control_rungs": {str(at.branch): at.rungs(gains) for at in cast.controls},
    }


def _measured(
    measure: Measurement,
    model: Model,
    behavior: Behavior,
    cast: Cast,
    known: Undosed,
    settings: AuditSettings,
    content: dict[str, Any],
    clock: Clock,
) -> list[Record]:
    """Every dosed rollout, stage by stage, after the commitment; the controls last."""
    records: list[Record] = []
    for name, trials in dosed_stages(model, behavior, cast, known, settings).items():
        with clock.step(name, len(trials)) as bar:
            records += measure(name, trials, bar.advance)
    with clock.step("context", 0) as bar:
        records += measure_context(measure, model, behavior, known.circuit, bar.advance)
    controls = control_trials(model, behavior, cast, settings)
    with clock.step("control", len(controls)) as bar:
        return records + measured_controls(measure, content, controls, bar.advance)
