"""One neuron on its own: both edges predicted and committed, its window measured, in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fulcra.errors import Inconclusive, InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders import trigger_ladder
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS
from fulcra.law.verdict import law_verdict, margin
from fulcra.models import Model
from fulcra.models.coordinate import realised_alignment
from fulcra.protocol.collapse import Bench
from fulcra.protocol.commit import (
    Plan,
    measure_baseline,
    measure_committed,
    require_baseline,
)
from fulcra.protocol.finish import finished, reopened
from fulcra.protocol.measure import Measurement
from fulcra.protocol.predictors import CEILINGS
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.protocol.results.window import CurvePoint, WindowResult
from fulcra.protocol.runs import Run, manifest_of, model_entry
from fulcra.protocol.source import remember
from fulcra.protocol.stages import Forecast, ladder_gains, whole_number, with_chances
from fulcra.protocol.subject import Subject
from fulcra.protocol.witness.seat import require_ledger
from fulcra.types import Behavior, Edge, Neuron

SCHEMA_VERSION = 1
#: The predictor whose ceiling is committed, and whose verdict is the forecast.
CEILING = "kl_ladder"
#: Of the undosed model's sampled rollouts at least this share of n-grams is distinct, or it
#: collapses without a dose.
UNDOSED_DISTINCT = 0.5


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Seed and gains of one neuron's window; `predict_only` rolls out nothing dosed.

    `ledger` is the folder of the ledger that its commitment is entered in. InputError for a seed or
    gains that an audit's settings refuse.
    """

    seed: int = 0
    predict_only: bool = False
    gains: tuple[float, ...] = TRIGGER_GAINS
    ledger: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole_number("window settings", "seed", self.seed, 0))
        object.__setattr__(self, "gains", ladder_gains("window settings", self.gains))


def window(
    model: Model,
    behavior: Behavior,
    neuron: Neuron,
    settings: WindowSettings = WindowSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> WindowResult:
    """The window of one branch: its saturation curve, every predicted edge and what was measured.

    With `out` the folder holds window.json, its page and, of what was measured, what an audit's
    does, so `fulcra verify` reads it; an interrupted run goes on. Inconclusive where the protocol
    allows no verdict. Cost: about 1,000 short rollouts, none dosed with `predict_only`.
    """
    model.require(neuron)
    _require_commitment(settings, out)
    clock = Clock(progress or Silent())
    with clock.step("clean ground", 0):
        subject = Subject.of(model, behavior, settings.seed)
        require_coherent(subject)
    place = subject.coordinate(neuron)
    with clock.step("forecast", 0):
        ceilings = [predictor.edges(subject.ground, [place])[0] for predictor in CEILINGS]
        trigger = predicted_trigger(subject, place)
    result = described(subject, place, ceilings, trigger, settings.gains)
    if not settings.predict_only:
        forecast = Forecast(place, _named(ceilings, CEILING), trigger)
        with clock.step("chances", 1) as bar:
            forecast = with_chances(subject, [forecast], settings.gains, "full", bar)[0]
        audit = _measured(subject, forecast, settings, out, clock)
        result = result.model_copy(update={"audit": audit})
    if out is not None:
        result.save(out)
    return result


def _require_commitment(settings: WindowSettings, out: Path | None) -> None:
    """InputError where a ledger is given and nothing will be committed, or nowhere kept."""
    if settings.ledger is not None and settings.predict_only:
        raise InputError("--predict-only commits to nothing: leave out --ledger, or measure")
    require_ledger(settings.ledger, out)


def predicted_trigger(subject: Subject, place: Coordinate) -> Edge | None:
    """The trigger by `trigger_ladder`; None where the behavior declares no openings."""
    if subject.openings is None:
        return None
    return trigger_ladder(subject.model, [place], subject.openings)[0]


def require_coherent(subject: Subject) -> None:
    """Inconclusive where half of the undosed rollouts from generic openings are not coherent.

    Rollouts that only repeat themselves are not.
    """
    standard = subject.ground.standard.above(UNDOSED_DISTINCT)
    bench = Bench.of(subject.ground, subject.behavior, standard)
    lost = bench.lost([()], subject.seed)[0]
    if lost >= 0.5:
        raise Inconclusive(
            f"{subject.model.name} collapses undosed: {lost:.0%} of its rollouts from generic"
            " openings are not coherent, so no ceiling can be measured; choose another model, or"
            " generic openings it can continue"
        )


def _named(edges: Sequence[Edge], method: str) -> Edge:
    return next(edge for edge in edges if edge.method == method)


def described(
    subject: Subject,
    place: Coordinate,
    ceilings: Sequence[Edge],
    trigger: Edge | None,
    gains: Sequence[float],
) -> WindowResult:
    """Where the branch stands, its saturation curve and every predicted edge."""
    ceiling = _named(ceilings, CEILING)
    result = WindowResult(
        schema_version=SCHEMA_VERSION,
        provenance=Provenance.now(),
        model=model_entry(subject.model),
        neuron=str(place.branch),
        behavior=subject.behavior.name,
        budget=place.budget,
        residual_norm=float(subject.ground.stream.norm[place.branch.layer]),
        alignment0=place.alignment0,
        cap_alignment=place.cap_alignment,
        curve=tuple(_point(subject, place, gain) for gain in gains[: place.rungs(gains)]),
        ceilings=tuple(map(predicted_entry, ceilings)),
        triggers=() if trigger is None else (predicted_entry(trigger),),
        predicted_margin=margin(ceiling, trigger) if trigger else None,
        predicted_verdict=law_verdict(ceiling, trigger) if trigger else "undetermined",
    )
    return WindowResult.of(result.plain())


def _point(subject: Subject, place: Coordinate, gain: float) -> CurvePoint:
    low, high = realised_alignment(subject.model, subject.ground.stream, place, gain)
    alignment = place.alignment(gain)
    return CurvePoint(gain=gain, alignment=alignment, alignment_low=low, alignment_high=high)


def _measured(
    subject: Subject,
    forecast: Forecast,
    settings: WindowSettings,
    out: Path | None,
    clock: Clock,
) -> AuditResult:
    """The audit of this one branch."""
    size = {"seed": settings.seed, "gains": settings.gains}
    branch = str(forecast.at.branch)
    manifest = manifest_of("window", subject.model, subject.behavior, size, neuron=branch)
    run = Run.open(manifest, out, clock, settings.ledger)
    if (over := reopened(run)) is not None:
        return over
    if run.folder is not None:
        remember(run.folder.path, subject.model, subject.behavior)
    measure = Measurement(subject, subject.horizons, run.folder, run.salt)
    baseline = measure_baseline(run, measure)
    require_baseline(subject.behavior, baseline)
    plan = Plan([forecast], settings.gains, sealed=True)
    committed = measure_committed(run, measure, plan, baseline)
    return finished(run, subject, [forecast.at], committed)
