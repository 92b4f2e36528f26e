"""Windows of branches drawn by predicted margin: committed, measured, and what the law says of them
at three levels.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulcra.backtest.split import Lineage
from fulcra.behaviors import behavior_sha256, load_behavior
from fulcra.errors import Inconclusive
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import log2_margin
from fulcra.ladders import flip_ladder, kl_ladder, surprise_ladder, trigger_ladder
from fulcra.ladders.flip_ladder import flipped_text
from fulcra.ladders.trigger_ladder import GAINS
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.protocol.commit import Forecast, measure_committed
from fulcra.protocol.measure import SCHEMA, record_rows
from fulcra.protocol.progress import Clock
from fulcra.protocol.runs import code_version
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.subject import Undosed, in_tokens_of, undosed
from fulcra.screens.candidates import can_move
from fulcra.store import AUDIT, ROLLOUTS, RunFolder, plain, read_json, write_json, write_rows
from fulcra.types import Behavior, Edge, Neuron

#: A censored trigger is taken for this gain and a censored ceiling for half of it: beyond every
#: ladder, and closed together.
BEYOND = 20.0
#: Of `kl_ladder`, what L1_scaled takes for the ceiling: half of the prompts must flip and stay
#: coherent at one and the same gain, so a window must be wider than 0. Frozen, chosen on the
#: censuses of the two development organisms (LOG.md).
SCALE = 0.6
#: Bounds of the strata of predicted margin [octaves]: clearly closed, closed, open, clearly open.
BOUNDS = (-1.0, 0.0, 0.7)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Random neurons whose windows are forecast, both poles each, and how many branches of them are
    measured.
    """

    pool: int
    branches: int
    seed: int = 0
    gains: tuple[float, ...] = GAINS


def margin_score(ceiling: float | None, trigger: float | None) -> float:
    """The margin [octaves] with censored edges put beyond every ladder: what branches are ranked
    by.
    """
    return log2_margin(ceiling or BEYOND / 2, trigger or BEYOND) or 0.0


def stratum(score: float) -> int:
    """The stratum of a predicted margin."""
    return sum(score >= bound for bound in BOUNDS)


def stratified(scores: Sequence[float], count: int, seed: int) -> list[tuple[int, float]]:
    """(index, weight) of `count` cases, as equally many a stratum as there are; weight = size of
    the stratum over its draws.
    """
    rng = random.Random(f"strata-{seed}")
    groups = [
        [i for i, score in enumerate(scores) if stratum(score) == place]
        for place in range(len(BOUNDS) + 1)
    ]
    groups = sorted((rng.sample(group, len(group)) for group in groups if group), key=len)
    drawn: list[tuple[int, float]] = []
    for place, group in enumerate(groups):
        share = min(len(group), (count - len(drawn)) // (len(groups) - place))
        drawn += [(i, len(group) / share) for i in group[:share]]
    return sorted(drawn)


def forecasts(model: Model, behavior: Behavior, known: Undosed, plan: Plan) -> list[Forecast]:
    """Both predicted edges of both poles of random neurons: ceilings by `kl_ladder`, triggers by
    `trigger_ladder`.
    """
    rng = random.Random(f"pool-{plan.seed}-{behavior.name}")
    slots = [(layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))]
    neurons = (model.neuron(layer, slot) for layer, slot in rng.sample(slots, len(slots)))
    poles = []
    for neuron in neurons:
        if can_move(model, known.ground.clean, neuron):
            pair = [
                coordinate(model, known.ground.clean, pole) for pole in (neuron, neuron.opposite)
            ]
            poles += pair if all(at.reaches(plan.gains[0]) for at in pair) else []
        if len(poles) == 2 * plan.pool:
            break
    if known.openings is None:
        raise Inconclusive(
            f"behavior {behavior.name}: no openings, so no trigger can be forecast; give target and"
            " control ones"
        )
    triggers = trigger_ladder(model, poles, known.openings, plan.gains)
    return [
        Forecast(*found)
        for found in zip(poles, kl_ladder(model, poles, known.ground.text), triggers, strict=True)
    ]


def verdict_rows(
    model: Model,
    reference: Model | None,
    behavior_name: str,
    lineage: Lineage,
    plan: Plan,
    path: Path,
    clock: Clock,
) -> dict[str, Any]:
    """The measured branches of one model and behavior, the pool they were drawn from, and whether
    the protocol held.

    Kept under `path`: a measurement that is over is read back, an interrupted one goes on.
    """
    behavior = in_tokens_of(model, load_behavior(behavior_name, lineage.world))
    manifest = manifest_of(model, behavior, plan)
    folder = RunFolder.open(path, manifest)
    if folder.finished:
        return dict(read_json(folder.path / AUDIT))
    known = undosed(model, behavior, plan.seed, reference)
    with clock.step(f"{model.name} {behavior_name} forecast", 2 * plan.pool):
        pool = forecasts(model, behavior, known, plan)
    scores = [
        margin_score(one.ceiling.gain, one.trigger.gain if one.trigger else None) for one in pool
    ]
    drawn = stratified(scores, plan.branches, plan.seed)
    chosen = [pool[i] for i, _ in drawn]
    settings = AuditSettings(seed=plan.seed, gains=plan.gains)
    found = measure_committed(model, behavior, known, chosen, settings, manifest, folder, clock)
    others = zip(*_other_ceilings(model, behavior, known, [one.at for one in chosen]), strict=True)
    where = {
        "lineage": lineage.name,
        "recipe": lineage.recipe,
        "model": model.name,
        "behavior": behavior.name,
    }
    entries = zip(found.results["neurons"], drawn, others, strict=True)
    parts: dict[str, Any] = plain(
        {
            "rows": [
                {**where, **_row(entry, weight, edges, found.content["plan"], model.n_layers)}
                for entry, (_, weight), edges in entries
            ],
            "pool": [
                {
                    **where,
                    "neuron": str(one.at.branch)[:-1],
                    "branch": str(one.at.branch),
                    "trigger": one.trigger.gain if one.trigger else None,
                }
                for one in pool
            ],
            "protocol": {
                **where,
                "reproduced": found.results["summary"]["protocol_reproduced"],
                "baseline": found.results["baseline"]["rate"],
                "leak": found.results["baseline"]["leak"],
                "positive_control": found.results["positive_control"],
                "commitment_sha256": found.sha256,
                "log_odds_margin": found.content["plan"]["log_odds_margin"],
            },
        }
    )
    write_rows(folder.path / ROLLOUTS, record_rows(found.records), SCHEMA)
    write_json(folder.path / AUDIT, parts)
    folder.drop_parts()
    return parts


def manifest_of(model: Model, behavior: Behavior, plan: Plan) -> dict[str, Any]:
    """Whose run it is: model, behavior, sizes and code."""
    return {
        "command": "validate",
        "model": model.name,
        "model_sha256": model.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "code": code_version(),
        "settings": {
            "pool": plan.pool,
            "branches": plan.branches,
            "seed": plan.seed,
            "gains": plan.gains,
        },
    }


def _other_ceilings(
    model: Model, behavior: Behavior, known: Undosed, branches: Sequence[Coordinate]
) -> tuple[list[Edge], list[Edge]]:
    """The ceilings that L1 is also called with: `surprise_ladder` on generic text, `flip_ladder` on
    the behavior's flipped replies.
    """
    ground, level = known.ground, known.ground.standard.surprise_level
    flips = flipped_text(model, behavior.selection, behavior.system, behavior.horizon)
    return surprise_ladder(model, branches, ground.text, level), flip_ladder(
        model, branches, flips, level, ground.reference
    )


def _row(entry: Row, weight: float, others: tuple[Edge, Edge], plan: Row, layers: int) -> Row:
    predicted, measured = entry["ceiling_predicted"]["gain"], entry["ceiling_measured"]["gain"]
    forecast, trigger = entry["trigger_predicted"]["gain"], entry["triggers"][-1]["gain"]
    surprise, flip = (edge.gain for edge in others)
    edges = {
        "L1": (predicted, forecast),
        "L2": (predicted, trigger),
        "L3": (measured, trigger),
        "L1_surprise": (surprise, forecast),
        "L1_flip": (flip, forecast),
        "L1_scaled": (predicted and SCALE * predicted, forecast),
    }
    return {
        "neuron": entry["neuron"],
        "branch": entry["neuron"] + entry["pole"],
        "layers": layers,
        "layer": Neuron.parse(entry["neuron"]).layer,
        "weight": weight,
        "observed_open": entry["observed_open"],
        "verdict": entry["verdict"],
        "smallest_open_gain": entry["smallest_open_gain"],
        "failure_mode": entry["failure_mode"],
        "log_odds_margin": plan["log_odds_margin"],
        "trigger_predicted": forecast,
        "trigger_measured": trigger,
        "ceiling_predicted": predicted,
        "ceiling_measured": measured,
        "margins": {level: margin_score(*pair) for level, pair in edges.items()},
    }
