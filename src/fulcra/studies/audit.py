"""The audit: what one neuron can do to one behavior, predicted first, then measured."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.protocol.commit import Plan, measure_baseline, measure_committed
from fulcra.protocol.curtail import MEASURES
from fulcra.protocol.draw import Draw, check_size
from fulcra.protocol.finish import finished, reopened
from fulcra.protocol.measure import Measurement, Texts
from fulcra.protocol.progress import Progress
from fulcra.protocol.results.audit import AuditResult, SettingsEntry
from fulcra.protocol.runs import Run, manifest_of
from fulcra.protocol.source import remember
from fulcra.protocol.stages import (
    AuditSettings,
    Forecast,
    dose_screen,
    draw_of,
    forecast,
    pin_screen,
    with_chances,
)
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.screens.candidates import SWEPT, sweep_candidates
from fulcra.screens.pins import PIN_MULTIPLES
from fulcra.store import MANIFEST, read_json
from fulcra.types import Behavior, Neuron, Ranking


def audit(
    model: Model,
    behavior: Behavior,
    settings: AuditSettings = AuditSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
    ledger: Path | None = None,
) -> AuditResult:
    """The whole audit of one behavior; with `out`, kept in files and resumed.

    Of a finished run, what stands there. With `ledger`, the folder of one, the commitment is
    entered there before the first dosed rollout, and the end of the run after the last. Cost: tens
    of thousands of short rollouts, minutes for a bundled organism; `planned` tells before.
    """
    behavior = in_tokens_of(model, settings.of(behavior))
    check_size(model, settings.sizes)
    run = Run.open(manifest_of("audit", model, behavior, asdict(settings)), out, progress, ledger)
    if (over := reopened(run)) is not None:
        return over
    if run.folder is not None:
        remember(run.folder.path, model, behavior)
    with run.clock.step("clean ground", 0):
        subject = Subject.of(model, behavior, settings.seed)
    texts: Texts = "private" if settings.keep_text else "redacted"
    measure = Measurement(subject, subject.horizons, run.folder, run.salt, texts)
    baseline = measure_baseline(run, measure)
    rankings = screened(run, subject, settings)
    with run.clock.step("cast", 0):
        draw = draw_of(subject, rankings, settings)
    with run.clock.step("forecast", len(draw.branches)) as bar:
        edges = forecast(subject, draw.branches, settings.gains, bar)
    with run.clock.step("chances", len(edges)) as bar:
        edges = with_chances(subject, edges, settings.gains, settings.measure, bar)
    forecasts = _with_sources(subject, draw, edges)
    plan = Plan(forecasts, settings.gains, draw.controls, pins=True, sealed=True)
    committed = measure_committed(run, measure, plan, baseline)
    return finished(run, subject, plan.branches, committed)


def begun_settings(folder: Path) -> AuditSettings | None:
    """The settings of an audit that was begun in a folder; None where there is none."""
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("command") != "audit":
        return None
    if not isinstance(manifest.get("settings"), dict):
        return None
    entry = SettingsEntry.model_validate(manifest["settings"])
    named = {each.name: getattr(entry, each.name) for each in fields(AuditSettings)}
    return AuditSettings(**{**named, "candidates": entry.candidates or SWEPT})


def require_begun(folder: Path, begun: AuditSettings, settings: AuditSettings) -> None:
    """InputError where a folder's audit differs in more than its sizes, which stay as planned.

    Its own measure may be a cheaper one: a budget gives that up first.
    """
    differ = [
        f"{name} {getattr(begun, name)}, not {getattr(settings, name)}"
        for name in ("seed", "screen", "keep_text", "confirmation")
        if getattr(begun, name) != getattr(settings, name)
    ]
    if MEASURES.index(begun.measure) < MEASURES.index(settings.measure):
        differ.append(f"measure {begun.measure}, not {settings.measure}")
    if differ:
        raise InputError(
            f"{folder}: holds an audit with {'; '.join(differ)}; give it the same options, or"
            " another --out"
        )


def screened(run: Run, subject: Subject, settings: AuditSettings) -> list[Ranking]:
    """Who is worth measuring: half by predicted window, half by predicted flip under a pin.

    By contrast alone where the settings say so.
    """
    if settings.screen == "contrastive":
        return [subject.circuit]
    candidates = sweep_candidates(
        subject.model, subject.ground.stream, subject.gaps, settings.candidates
    )
    with run.clock.step("screen doses", 2 * len(candidates)) as bar:
        doses = dose_screen(subject, candidates, settings.neurons, bar)
    with run.clock.step("screen pins", len(PIN_MULTIPLES) * len(candidates)) as bar:
        return [doses, pin_screen(subject, candidates, settings.neurons, bar)]


def _with_sources(subject: Subject, draw: Draw, forecasts: Sequence[Forecast]) -> list[Forecast]:
    """The forecasts, each with why it is measured and with its contrast of activations."""
    sourced = []
    for i, prediction in enumerate(forecasts):
        branch, gap = prediction.at.branch, None
        if isinstance(branch, Neuron):
            gap = float(subject.gaps[branch.layer, subject.model.slot(branch)])
        sourced.append(prediction._replace(source=draw.source(i), gap=gap))
    return sourced
