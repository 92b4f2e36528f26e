"""Some branches committed with their predictions, then measured: the part of an audit that the
other studies share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from fulcra.errors import Inconclusive, RunFolderError
from fulcra.formulas.intervals import wilson
from fulcra.ladders.trigger_ladder import clean_odds
from fulcra.models import Model
from fulcra.models.coordinate import Coordinate
from fulcra.protocol import Record
from fulcra.protocol.attacks import measure_context
from fulcra.protocol.draw import Cast
from fulcra.protocol.evidence import BASELINE_RATE, results
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock
from fulcra.protocol.stages import (
    CEILING_TEMPERATURE,
    PIN_MULTIPLES,
    AuditSettings,
    baseline_trials,
    dosed_stages,
)
from fulcra.protocol.subject import Undosed, horizons_of, true_answers_coherent
from fulcra.store import COMMITMENT, RunFolder, digest, plain, read_json, write_json
from fulcra.types import Behavior, Edge
from fulcra.window.edges import HALF
from fulcra.window.verdict import law_verdict


class Forecast(NamedTuple):
    """One branch with both predicted edges; no trigger where the behavior declares no openings."""

    at: Coordinate
    ceiling: Edge
    trigger: Edge | None


class Committed(NamedTuple):
    """What was committed, its hash, the records of every rollout, and the results made of them."""

    content: dict[str, Any]
    sha256: str
    records: list[Record]
    results: dict[str, Any]


def fewest_prompts() -> int:
    """The number of prompts below which not even a flip on all of them puts the 95 % interval above
    one half.
    """
    return next(n for n in range(1, 100) if wilson(n, n).low > HALF)


def measure_committed(
    model: Model,
    behavior: Behavior,
    known: Undosed,
    forecasts: Sequence[Forecast],
    settings: AuditSettings,
    manifest: Mapping[str, Any],
    folder: RunFolder | None,
    clock: Clock,
) -> Committed:
    """The branches of `forecasts`, committed before their first dosed rollout, then measured as in
    an audit.

    Without pins and random controls, so `specific` stays unknown. Inconclusive where the undosed
    model leaves nothing to flip.
    """
    measure = Measurement(
        model, behavior, known.ground, horizons_of(behavior), folder, salt=digest(manifest)
    )
    trials = baseline_trials(model, behavior)
    with clock.step("baseline", len(trials)) as bar:
        records = measure("baseline", trials, bar.advance)
    require_baseline(behavior, records)
    branches = [
        {**branch_entry("screen", at, None, ceiling, trigger), "rungs": at.rungs(settings.gains)}
        for at, ceiling, trigger in forecasts
    ]
    plan = plan_of(dict(manifest), model, behavior, known, settings)
    content: dict[str, Any] = plain(
        {"plan": plan, "branches": branches, "controls": [], "control_rungs": {}}
    )
    sha256 = commit(folder, content)
    cast = Cast(tuple(forecast.at for forecast in forecasts), (), ())
    records += _doses(measure, model, behavior, known, cast, settings, clock)
    return Committed(content, sha256, records, plain(results(content, sha256, records)))


def require_baseline(behavior: Behavior, records: Sequence[Record]) -> None:
    """Inconclusive unless the undosed model shows the behavior on half of the prompts, and on
    enough of them for an interval.
    """
    shown = sum(record.at(behavior.horizon) == "unchanged" for record in records)
    flipped = sum(record.flipped(behavior.horizon) for record in records)
    if shown < BASELINE_RATE * len(records):
        found = (
            f"undosed, the model shows it on {shown} of {len(records)} prompts and the flip on"
            f" {flipped}"
        )
        raise Inconclusive(
            f"behavior {behavior.name}: {found}; half are needed, or nothing is there to flip:"
            " choose another behavior or model"
        )
    confirmed = {prompt.id for prompt in behavior.confirmation}
    kept = sum(r.prompt in confirmed and not r.flipped(behavior.horizon) for r in records)
    if kept < fewest_prompts():
        found = f"{kept} confirmation prompts that do not flip undosed"
        raise Inconclusive(
            f"behavior {behavior.name}: {found}; no interval of a rate can clear one half, give"
            f" {fewest_prompts()} or more"
        )


def _doses(
    measure: Measurement,
    model: Model,
    behavior: Behavior,
    known: Undosed,
    cast: Cast,
    settings: AuditSettings,
    clock: Clock,
) -> list[Record]:
    """Every dosed rollout of an audit but held values and random controls."""
    records: list[Record] = []
    for name, trials in dosed_stages(model, behavior, cast, known, settings).items():
        if name != "pins":
            with clock.step(name, len(trials)) as bar:
                records += measure(name, trials, bar.advance)
    with clock.step("context", 0) as bar:
        return records + measure_context(measure, model, behavior, known.circuit, bar.advance)


def edge_entry(edge: Edge) -> dict[str, Any]:
    """An edge as files hold it."""
    return {
        "gain": edge.gain,
        "alignment": edge.alignment,
        "method": edge.method,
        "tier": edge.tier,
        "censored": edge.censored,
    }


def branch_entry(
    source: str, at: Coordinate, gap: float | None, ceiling: Edge, trigger: Edge | None
) -> dict[str, Any]:
    """The prediction for one branch; without a forecast trigger (no openings) the verdict is left
    undetermined.
    """
    return {
        "branch": str(at.branch),
        "source": source,
        "budget": at.budget,
        "alignment0": at.alignment0,
        "cap_alignment": at.cap_alignment,
        "activation_gap": gap,
        "ceiling_predicted": edge_entry(ceiling),
        "trigger_predicted": None if trigger is None else edge_entry(trigger),
        "predicted_verdict": "undetermined" if trigger is None else law_verdict(ceiling, trigger),
    }


def commit(folder: RunFolder | None, content: Mapping[str, Any]) -> str:
    """The sha256 of the commitment, stored in the run's folder before any dosed rollout of a
    committed branch.

    RunFolderError when the folder already holds rollouts without it, or a commitment with other
    content.
    """
    sha256 = digest(content)
    if folder is None:
        return sha256
    path = folder.path / COMMITMENT
    if path.exists():
        if read_json(path) != {"sha256": sha256, "content": plain(content)}:
            raise RunFolderError(
                f"{path}: the commitment there is not the one this run makes; a commitment is never"
                " replaced, choose a new folder"
            )
    elif folder.has_dosed_parts():
        raise RunFolderError(
            f"{folder.path}: holds dosed rollouts but no commitment; a commitment is never added"
            " afterwards, choose a new folder"
        )
    else:
        write_json(path, {"sha256": sha256, "content": content})
    return sha256


def plan_of(
    manifest: dict[str, Any],
    model: Model,
    behavior: Behavior,
    known: Undosed,
    settings: AuditSettings,
) -> dict[str, Any]:
    """What will be measured and how it will be judged, for the commitment."""
    ground, openings = known.ground, known.openings
    return {
        **manifest,
        "gains": settings.gains,
        "horizons": horizons_of(behavior),
        "coherence": asdict(ground.standard),
        "reference": ground.reference.name,
        "generic_sha256": ground.text.sha256,
        "ceiling_temperature": CEILING_TEMPERATURE,
        "pin_multiples": PIN_MULTIPLES,
        "analysis": (
            "observed open: at some gain at least half of the confirmation rollouts flip coherently"
            " at the last horizon"
        ),
        "log_odds_margin": (
            None if openings is None else -clean_odds(model, openings).median().item()
        ),
        "true_answers_coherent": true_answers_coherent(model, behavior, ground),
    }
