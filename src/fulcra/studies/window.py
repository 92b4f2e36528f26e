"""One neuron on its own: budget, alignment, both edges predicted and committed, its window
measured, in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.errors import Inconclusive
from fulcra.ladders.trigger_ladder import GAINS, Openings
from fulcra.models import Model
from fulcra.models.coordinate import Coordinate, coordinate, realised_alignment
from fulcra.protocol.collapse import Bench
from fulcra.protocol.commit import Forecast, edge_entry, measure_committed
from fulcra.protocol.draw import Cast
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import code_version, document, model_entry, save
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Ground, Undosed, in_tokens_of, undosed
from fulcra.store import AUDIT, RunFolder, plain, read_json
from fulcra.types import Behavior, Edge, Neuron
from fulcra.window.predictors import CEILINGS, TRIGGERS, Seen
from fulcra.window.verdict import law_verdict, margin

#: The predictors whose edges are committed, and whose verdict is the forecast.
CEILING, TRIGGER = "kl_ladder", "trigger_ladder"
#: Of the undosed model's sampled rollouts at least this share of n-grams is distinct, or it
#: collapses without a dose.
UNDOSED_DISTINCT = 0.5


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Seed and gains of one neuron's window; `predict_only` rolls out nothing dosed."""

    seed: int = 0
    predict_only: bool = False
    gains: tuple[float, ...] = GAINS


def control_window(
    model: Model,
    behavior: Behavior,
    neuron: Neuron,
    settings: WindowSettings = WindowSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The window of one branch: where it stands, its saturation curve, every predicted edge, and
    what was measured.

    With `out` the folder holds what an audit's does, so `fulcra verify` reads it; an interrupted
    run goes on. Inconclusive where the protocol allows no verdict. Cost: about 1,000 short
    rollouts, none dosed with `predict_only`.
    """
    model.require(neuron)
    clock, behavior = Clock(progress or Silent()), in_tokens_of(model, behavior)
    with clock.step("clean ground", 0):
        known = undosed(model, behavior, settings.seed)
        ground = known.ground
        require_coherent(model, behavior, ground, settings.seed)
    at = coordinate(model, ground.clean, neuron)
    with clock.step("forecast", 0):
        ceilings, triggers = predicted(model, at, ground, known.openings)
    found = plain(_described(model, behavior, ground, at, ceilings, triggers, settings.gains))
    if settings.predict_only:
        return dict(found)
    forecast = Forecast(
        at, _named(ceilings, CEILING), _named(triggers, TRIGGER) if triggers else None
    )
    return {**found, "audit": _measured(model, behavior, known, forecast, settings, out, clock)}


def predicted(
    model: Model, at: Coordinate, ground: Ground, openings: Openings | None
) -> tuple[list[Edge], list[Edge]]:
    """Every predictor's ceiling, and every predictor's trigger where the behavior declares
    openings.
    """
    seen = Seen(ground.text, ground.clean, ground.standard, openings)
    triggers = [] if openings is None else [one(model, [at], seen)[0] for one in TRIGGERS]
    return [one(model, [at], seen)[0] for one in CEILINGS], triggers


def require_coherent(model: Model, behavior: Behavior, ground: Ground, seed: int) -> None:
    """Inconclusive where half of the undosed rollouts from the ceiling's openings are not coherent,
    or only repeat themselves.
    """
    prompts = tuple(model.prompt_ids(text, behavior.system) for text in behavior.ceiling_generic)
    standard = ground.standard.above(UNDOSED_DISTINCT)
    lost = Bench(model, prompts, ground.reference, standard, behavior.horizon).lost([()], seed)[0]
    if lost >= 0.5:
        said = (
            f"{model.name} collapses undosed: {lost:.0%} of its rollouts from generic openings are"
            " not coherent"
        )
        raise Inconclusive(
            f"{said}, so no ceiling can be measured; choose another model, or generic openings it"
            " can continue"
        )


def _named(edges: Sequence[Edge], method: str) -> Edge:
    return next(edge for edge in edges if edge.method == method)


def _described(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    at: Coordinate,
    ceilings: list[Edge],
    triggers: list[Edge],
    gains: Sequence[float],
) -> dict[str, Any]:
    ceiling, trigger = _named(ceilings, CEILING), _named(triggers, TRIGGER) if triggers else None
    return {
        "model": model_entry(model),
        "neuron": str(at.branch),
        "behavior": behavior.name,
        "budget": at.budget,
        "residual_norm": float(ground.clean.norm[at.branch.layer]),
        "alignment0": at.alignment0,
        "cap_alignment": at.cap_alignment,
        "curve": [_point(model, ground, at, gain) for gain in gains[: at.rungs(gains)]],
        "ceilings": [edge_entry(edge) for edge in ceilings],
        "triggers": [edge_entry(edge) for edge in triggers],
        "predicted_margin": margin(ceiling, trigger) if trigger else None,
        "predicted_verdict": law_verdict(ceiling, trigger) if trigger else "undetermined",
    }


def _point(model: Model, ground: Ground, at: Coordinate, gain: float) -> dict[str, float]:
    low, high = realised_alignment(model, ground.clean, at, gain)
    return {
        "gain": gain,
        "alignment": at.alignment(gain),
        "alignment_low": low,
        "alignment_high": high,
    }


def _measured(
    model: Model,
    behavior: Behavior,
    known: Undosed,
    forecast: Forecast,
    settings: WindowSettings,
    out: Path | None,
    clock: Clock,
) -> dict[str, Any]:
    """The content of audit.json for this one branch."""
    sized = AuditSettings(neurons=1, random=0, controls=0, seed=settings.seed, gains=settings.gains)
    manifest = {
        "command": "window",
        "neuron": str(forecast.at.branch),
        "model": model.name,
        "model_sha256": model.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "settings": {"seed": settings.seed, "gains": settings.gains},
        "code": code_version(),
    }
    folder = RunFolder.open(out, manifest) if out is not None else None
    if folder is not None and folder.finished:
        return dict(read_json(folder.path / AUDIT))
    found = measure_committed(model, behavior, known, [forecast], sized, manifest, folder, clock)
    audit = document(
        model,
        behavior,
        known.ground,
        Cast((forecast.at,), (), ()),
        found.content,
        found.sha256,
        found.records,
    )
    audit["timing"] = clock.timing()
    if folder is not None:
        save(folder, audit, found.records)
    return audit
