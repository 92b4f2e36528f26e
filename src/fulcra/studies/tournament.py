"""Every screen judged by what opens, on a census or a weighted sample (law.md section 7)."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fulcra.behaviors import behavior_sha256
from fulcra.errors import BehaviorError, InputError, ModelError
from fulcra.formulas.classification import auroc
from fulcra.formulas.geometry import column_cosines
from fulcra.formulas.ranking import (
    at_top,
    average_precision,
    corrected_precision,
    matched_difference,
    ranking_interval,
)
from fulcra.models import Model
from fulcra.models.coordinate import budgets, coordinate
from fulcra.protocol import Record, pin_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent, cpu_seconds
from fulcra.protocol.runs import code_version, model_entry
from fulcra.protocol.subject import Ground, in_tokens_of, prepare
from fulcra.screens.branch_scores import branch_scores
from fulcra.screens.candidates import movable
from fulcra.screens.diagnostics import diagnose
from fulcra.screens.dla import readout
from fulcra.screens.objective import objective_gradients
from fulcra.screens.pins import contrast_extent
from fulcra.screens.registry import ENTRANTS, Entrant
from fulcra.screens.scores import Clean
from fulcra.store import plain
from fulcra.studies.census import CensusSettings, Truth, climb_all, read_census, summary, truth_of
from fulcra.studies.stability import TOP, Field, pool_entry, stability
from fulcra.types import Behavior, Neuron, Ranking

#: Where recall and precision are read.
TOPS = (8, 32, 128)
#: The raw rankings whose first neurons are ordered again by a pin sweep (paper C's second step).
RERANKED = ("gradient", "gradient_paper")


@dataclass(frozen=True, slots=True)
class TournamentSettings:
    """Without a census: how many random branches are measured beside each screen's top 32.
    `all_stability` reruns sweeps too.
    """

    sample: int = 200
    seed: int = 0
    all_stability: bool = False


def tournament(
    model: Model,
    behavior: Behavior,
    settings: TournamentSettings = TournamentSettings(),
    census: Path | None = None,
    entrants: Sequence[Entrant] = ENTRANTS,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda warning: None,
) -> dict[str, Any]:
    """screens.json: each screen's scores, stability and cost, the mechanism of what opens, and the
    contrast set's diagnostics.

    With a census its truth, and its trigger ladder as `dosed_logit`; else the union of each
    screen's top 32 and a random sample is measured here. `warn` hears what is wrong with the
    contrast set before a screen runs. Inconclusive where nothing opens.
    """
    behavior = in_tokens_of(model, behavior)
    clock, told = Clock(progress or Silent()), diagnose(model, behavior)
    measured = read_census(census, model, behavior) if census is not None else None
    for warning in told.warnings:
        warn(warning)
    with clock.step("clean ground", 0):
        ground = prepare(model, behavior, settings.seed)
    clean = Clean(ground.text, ground.clean)
    rankings, seconds, skipped = _run(model, behavior, clean, entrants, measured, clock)
    with clock.step("rerank", 0):
        _add_reranked(model, behavior, ground, rankings, seconds)
    rows = (
        measured[1]
        if measured
        else _sampled(model, behavior, ground, list(rankings.values()), settings, clock)
    )
    field = Field.of(rows)
    entries = []
    with clock.step("scores", len(rankings)) as bar:
        for entrant, ranking in rankings.items():
            again = runs_again(entrant, settings, measured is not None)
            by = stability(entrant, model, behavior, clean, field, settings.seed) if again else {}
            entries.append(
                _entry(entrant, ranking, field, model, settings.seed, seconds[entrant], by)
            )
            bar.advance(1)
    entries.sort(key=lambda entry: -entry["corrected_average_precision"])
    found: dict[str, Any] = plain(
        {
            "model": model_entry(model),
            "behavior": {"name": behavior.name, "sha256": behavior_sha256(behavior)},
            "code": code_version(),
            "settings": asdict(settings),
            "truth": "census" if measured else "sample",
            "tops": TOPS,
            "truth_summary": _kept_summary(measured[0]) if measured else summary(rows),
            "screens": entries,
            "skipped": skipped,
            "opened": [row._asdict() for row in rows if row.smallest_open_gain is not None],
            "mechanism": mechanism(model, behavior, clean, field, settings.seed),
            "layers": _layers(model, field),
            "diagnostics": told._asdict(),
            "discovery": pool_entry(behavior),
            "timing": clock.timing(),
        }
    )
    return found


def _kept_summary(census: dict[str, Any]) -> dict[str, Any]:
    return {
        key: census[key]
        for key in ("branches", "sources", "open", "specific", "smallest_open_gain", "missed")
    }


def _run(
    model: Model,
    behavior: Behavior,
    clean: Clean,
    entrants: Sequence[Entrant],
    measured: tuple[dict[str, Any], list[Truth]] | None,
    clock: Clock,
) -> tuple[dict[Entrant, Ranking], dict[Entrant, float], dict[str, str]]:
    """Rankings and CPU seconds of the screens that run here, and why the others do not."""
    rankings, seconds, skipped = {}, {}, {}
    with clock.step("screens", len(entrants)) as bar:
        for entrant in entrants:
            begun = cpu_seconds()
            try:
                if entrant.name == "dosed_logit" and measured is not None:
                    rankings[entrant], seconds[entrant] = (
                        _by_census(measured[1]),
                        _ladder_seconds(model, measured[0]),
                    )
                else:
                    rankings[entrant] = entrant.run(model, behavior, clean)
                    seconds[entrant] = cpu_seconds() - begun
            except (BehaviorError, ModelError) as error:
                if entrant.kind == "own":
                    raise
                skipped[f"{entrant.name} ({entrant.units})"] = str(error)
            bar.advance(1)
    return rankings, seconds, skipped


def _add_reranked(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    rankings: dict[Entrant, Ranking],
    seconds: dict[Entrant, float],
) -> None:
    """Enters the reranked rankings beside those they come from; their seconds hold the screen's
    own.
    """
    measure = Measurement(
        model,
        behavior,
        ground,
        (behavior.horizon,),
        None,
        salt=f"rerank-{behavior_sha256(behavior)}",
    )
    for entrant in [one for one in rankings if one.name in RERANKED and one.units == "raw"]:
        begun, ranking = cpu_seconds(), rankings[entrant]
        found = reranked(measure, model, behavior, ranking)
        again = entrant._replace(name=found.screen, kind="reranked")
        rankings[again], seconds[again] = found, seconds[entrant] + cpu_seconds() - begun


def runs_again(entrant: Entrant, settings: TournamentSettings, censused: bool) -> bool:
    """Whether a screen is run anew on other prompts: not where it reads none, nor the ladder that a
    census lends.
    """
    fixed = (
        entrant.name == "random"
        or entrant.kind == "reranked"
        or (censused and entrant.name == "dosed_logit")
    )
    return not fixed and (settings.all_stability or not entrant.sweeps)


def _ladder_seconds(model: Model, census: dict[str, Any]) -> float:
    """What the trigger ladder of every branch takes, from those of a census that may be a slice."""
    return (
        float(census["ladder_seconds"]["trigger"])
        * 2
        * sum(map(model.width, range(model.n_layers)))
        / int(census["branches"])
    )


def _by_census(rows: Sequence[Truth]) -> Ranking:
    """The trigger ladders of a census as the ranking they are."""
    reached = sorted(
        ((row.trigger, row.branch) for row in rows if row.trigger is not None),
        key=lambda pair: pair[0],
    )
    return Ranking(
        "dosed_logit",
        tuple(Neuron.parse(name) for _, name in reached),
        tuple(1 / gain for gain, _ in reached),
    )


def _sampled(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    rankings: Sequence[Ranking],
    settings: TournamentSettings,
    clock: Clock,
) -> list[Truth]:
    """Each screen's top 32, and random others that each stand for their share of the rest; all
    climb from the first rung.
    """
    everyone = [
        pole for neuron in movable(model, ground.clean) for pole in (neuron, neuron.opposite)
    ]
    wanted = {branch for ranking in rankings for branch in ranking.top(TOP)}
    top = [branch for branch in everyone if branch in wanted]
    rest = [branch for branch in everyone if branch not in wanted]
    drawn = random.Random(f"sample-{settings.seed}").sample(rest, min(settings.sample, len(rest)))
    members = [(branch, "screen", 1.0) for branch in top] + [
        (branch, "random", len(rest) / len(drawn)) for branch in drawn
    ]
    starts = {
        i: (coordinate(model, ground.clean, branch), 0) for i, (branch, _, _) in enumerate(members)
    }
    climbers, controls, _ = climb_all(
        model, behavior, ground, starts, CensusSettings(seed=settings.seed), None, clock
    )
    return [
        truth_of(str(branch), source, weight, (None, None), climbers[i], controls)
        for i, (branch, source, weight) in enumerate(members)
    ]


def _entry(
    entrant: Entrant,
    ranking: Ranking,
    field: Field,
    model: Model,
    seed: int,
    seconds: float,
    by: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """One row of screens.json; `by` is its stability by the number of prompts, and that of the
    largest number stands for it.
    """
    scores = branch_scores(ranking, field.branches, False if entrant.sweeps else None)
    corrected = ranking_interval(
        corrected_precision, scores, field.found, field.weights, field.clusters, seed
    )
    area = ranking_interval(auroc, scores, field.found, field.weights, field.clusters, seed)
    tops = {k: at_top(scores, field.found, field.weights, k) for k in TOPS}
    late = sum(
        branch.layer >= model.n_layers - max(1, model.n_layers // 4) for branch in ranking.top(TOP)
    )
    return {
        "screen": entrant.name,
        "units": entrant.units,
        "kind": entrant.kind,
        "average_precision": average_precision(scores, field.found, field.weights),
        "corrected_average_precision": corrected.value,
        "low": corrected.low,
        "high": corrected.high,
        "auroc": area.value,
        "auroc_low": area.low,
        "auroc_high": area.high,
        "recall_at": {str(k): recall for k, (recall, _) in tops.items()},
        "precision_at": {str(k): precision for k, (_, precision) in tops.items()},
        "late_share": late / len(ranking.top(TOP)),
        "listed": len(ranking.branches),
        "top": [str(branch) for branch in ranking.top(8)],
        "seconds": seconds,
        "stability": by[max(by, key=int)]["overlap"] if by else None,
        "by_prompts": by,
    }


def mechanism(
    model: Model, behavior: Behavior, clean: Clean, field: Field, seed: int
) -> dict[str, Any]:
    """How far what opens lies above other branches of its layer (Cliff's delta): |cos(v, readout)|,
    |gradient|, |nats a gain|.
    """
    strata = np.array([branch.layer for branch in field.branches])
    found: dict[str, Any] = {}
    for name, values in _quantities(model, behavior, clean).items():
        each = np.array(
            [float(values[branch.layer, model.slot(branch)]) for branch in field.branches]
        )
        effect = matched_difference(each, field.found, strata, seed)
        medians = {
            "median_open": float(np.median(each[field.found])),
            "median_others": float(np.median(each[~field.found])) if (~field.found).any() else None,
        }
        found[name] = {
            "effect": effect.value,
            "low": effect.low,
            "high": effect.high,
            "n": effect.n,
            **medians,
        }
    return found


def _quantities(model: Model, behavior: Behavior, clean: Clean) -> dict[str, Tensor]:
    """[layer, d_mlp] each; none of the behavior's openings, none of them."""
    tests: dict[str, Callable[[], Tensor]] = {
        "readout_cosine": lambda: _readout_cosines(model, behavior),
        "gradient": lambda: objective_gradients(model, behavior, behavior.selection)[1].abs(),
    }
    found = {}
    for name, measure in tests.items():
        try:
            found[name] = measure()
        except InputError:
            continue
    if "gradient" in found:
        scale = budgets(model, clean.stream)
        found["nats_a_gain"] = torch.where(scale.isinf(), 0.0, found["gradient"] * scale)
    return found


def _readout_cosines(model: Model, behavior: Behavior) -> Tensor:
    direction, out = readout(model, behavior), torch.zeros(model.n_layers, model.d_mlp)
    for layer in range(model.n_layers):
        out[layer, : model.width(layer)] = column_cosines(
            model.writes(layer).cpu().T, direction
        ).abs()
    return out


def _layers(model: Model, field: Field) -> list[dict[str, float]]:
    """Where what opens lies: its share of the branches of each layer, weighted."""
    strata = np.array([branch.layer for branch in field.branches])
    rows = []
    for layer in range(model.n_layers):
        here = field.weights * (strata == layer)
        rows.append(
            {
                "layer": layer,
                "open": float((here * field.found).sum()),
                "branches": float(here.sum()),
            }
        )
    return rows


#: Paper C sweeps 0 to 200 activation units; here multiples of the largest natural |activation|, on
#: both sides, and 0.
MULTIPLES = (-8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
FIRST = 5


def rerank(
    measure: Measurement, model: Model, behavior: Behavior, ranking: Ranking, count: int = FIRST
) -> Ranking:
    """The ranking's first `count` branches by descending coherent flip rate under their best pin;
    ties keep the ranking's order.

    Selection prompts, greedy. Tier 4 for these neurons: they have been rolled out. Cost: count x 11
    x selection rollouts.
    """
    extent = contrast_extent(model, behavior, measure.ground.text)
    sizes = {
        branch: float(extent[branch.layer, model.slot(branch)]) for branch in ranking.top(count)
    }
    pins = [(branch, multiple * size) for branch, size in sizes.items() for multiple in MULTIPLES]
    by: dict[str, dict[float, list[Record]]] = {}
    for record in measure(
        "rerank", pin_trials(model, behavior, "rerank", pins, behavior.selection)
    ):
        by.setdefault(record.branch, {}).setdefault(record.dose, []).append(record)
    rates = {
        branch: max(_rate(records, behavior.horizon) for records in by[branch.site].values())
        for branch in sizes
    }
    order = sorted(sizes, key=lambda branch: -rates[branch])
    return Ranking(
        f"{ranking.screen}, reranked", tuple(order), tuple(rates[branch] for branch in order)
    )


def reranked(
    measure: Measurement, model: Model, behavior: Behavior, ranking: Ranking, count: int = FIRST
) -> Ranking:
    """The whole ranking, its first `count` branches in the order of `rerank`; their scores are flip
    rates, the others' their own.
    """
    first = rerank(measure, model, behavior, ranking, count)
    return Ranking(
        first.screen,
        (*first.branches, *ranking.branches[count:]),
        (*first.scores, *ranking.scores[count:]),
    )


def _rate(records: list[Record], horizon: int) -> float:
    return sum(record.flipped(horizon) for record in records) / len(records)
