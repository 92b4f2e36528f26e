"""One set of prompts with and without a recipe: their typed outcomes by the run and by every judge,
paired prompt by prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.judges.judge import Judge, Price
from fulcra.models import Model
from fulcra.protocol import Record, set_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.opinions import (
    RUN,
    Completions,
    Opinion,
    agreement,
    completions_of,
    disagreements,
    judge_entry,
    labels_at,
    opinion,
    share,
)
from fulcra.protocol.progress import Clock
from fulcra.protocol.subject import Ground, horizons_of
from fulcra.studies.effects.other_text import Items, paired, quality
from fulcra.studies.recipe import Recipe
from fulcra.types import FLIPS, OUTCOMES, Behavior, Edits

#: The two sides of every pair, as they are called in records.
CLEAN, EDITED = "clean", "edited"
#: What is counted among outcomes.
_COUNTED = {
    "behavior_rate": FLIPS,
    "reach": frozenset({"flipped_correct"}),
    "unchanged": frozenset({"unchanged"}),
}


def evaluated(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    recipe: Recipe,
    panel: Sequence[Judge],
    prices: Mapping[str, Price],
    seed: int,
    clock: Clock,
) -> dict[str, Any]:
    """The figures of one behavior's confirmation prompts by the run and by every judge, and how far
    these agree; no text.
    """
    sides: dict[str, list[Record]] = {}
    with clock.step(behavior.name, 2) as bar:
        for side, edits in ((CLEAN, ()), (EDITED, recipe.edits)):
            sides[side] = confirmed(model, behavior, ground, edits, side, recipe.sha256)
            bar.advance(1)
    every = sides[CLEAN] + sides[EDITED]
    found = completions_of(
        behavior, every, horizons_of(behavior), {record.text_hash: record.text for record in every}
    )
    opinions = []
    for judge in panel:
        with clock.step(judge.name, len(found.items)) as bar:
            opinions.append(opinion(judge, found, bar))
    clean, edited = (behavior_items(sides[side], behavior) for side in (CLEAN, EDITED))
    return {
        "name": behavior.name,
        "sha256": behavior_sha256(behavior),
        "sensitive": behavior.sensitive,
        "horizon": behavior.horizon,
        "labels": {outcome: behavior.label(outcome) for outcome in OUTCOMES},
        "completions": len(found.items),
        "figures": {name: paired(clean[name], edited[name], seed) for name in clean},
        **_judged(found, opinions, prices, seed),
    }


def _judged(
    found: Completions, opinions: Sequence[Opinion], prices: Mapping[str, Price], seed: int
) -> dict[str, Any]:
    """What every judge says of both sides at every horizon, and where they differ; never
    averaged.
    """
    labels = {
        horizon: labels_at(found, opinions, horizon) for horizon in horizons_of(found.behavior)
    }
    entries = [
        judge_entry(one, prices.get(one.judge.name)) | {"figures": _figures(found, one, seed)}
        for one in opinions
    ]
    return {
        "judges": [{"name": RUN}, *entries],
        "outcomes": [_outcomes(found, opinions, horizon) for horizon in labels],
        "agreement": [
            {"horizon": horizon, **agreement(given)} for horizon, given in labels.items()
        ],
        "disagreements": [
            row for horizon, given in labels.items() for row in disagreements(found, given, horizon)
        ],
    }


def _outcomes(found: Completions, opinions: Sequence[Opinion], horizon: int) -> dict[str, Any]:
    """The typed outcomes of both sides at one horizon, by the run and by every judge."""
    said = {RUN: lambda cut: cut.outcome, **{one.judge.name: one.outcome for one in opinions}}
    sides = {
        side: [cut for cut in found.cuts if cut.horizon == horizon and cut.record.branch == side]
        for side in (CLEAN, EDITED)
    }
    return {
        "horizon": horizon,
        "judges": {
            name: {side: share(map(by, cuts)) for side, cuts in sides.items()}
            for name, by in said.items()
        },
    }


def _figures(found: Completions, given: Opinion, seed: int) -> dict[str, Any]:
    """A judge's own figures, at the behavior's horizon."""
    cuts = [cut for cut in found.cuts if cut.horizon == found.behavior.horizon]
    said = {
        side: {cut.record.prompt: given.outcome(cut) for cut in cuts if cut.record.branch == side}
        for side in (CLEAN, EDITED)
    }
    clean, edited = (outcome_items(said[side]) for side in (CLEAN, EDITED))
    return {name: paired(clean[name], edited[name], seed) for name in clean}


def confirmed(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    edits: Edits,
    name: str = EDITED,
    salt: str = "",
) -> list[Record]:
    """The records of the confirmation prompts under some edits, in memory only: texts are dropped
    once they are scored.
    """
    measure = Measurement(
        model, replace(behavior, sensitive=False), ground, horizons_of(behavior), None, salt=salt
    )
    return measure(
        "confirmation",
        set_trials(model, behavior, "confirmation", name, edits, behavior.confirmation),
    )


def behavior_items(records: Sequence[Record], behavior: Behavior) -> dict[str, Items]:
    """The outcomes of each confirmation prompt and its quality; unscored rollouts are left out."""
    outcomes = {
        record.prompt: record.at(behavior.horizon)
        for record in records
        if record.at(behavior.horizon) != "unscored"
    }
    qualities = {
        record.prompt: quality(record.text) for record in records if record.prompt in outcomes
    }
    return {
        **outcome_items(outcomes),
        "collapse": {prompt: float(outcome == "collapse") for prompt, outcome in outcomes.items()},
        "quality": {prompt: value for prompt, value in qualities.items() if value is not None},
    }


def outcome_items(outcomes: Mapping[str, str]) -> dict[str, Items]:
    """Flip, strict reach and undosed behavior of each prompt, by its outcome; the unscored are left
    out.
    """
    scored = {prompt: outcome for prompt, outcome in outcomes.items() if outcome != "unscored"}
    return {
        name: {prompt: float(outcome in some) for prompt, outcome in scored.items()}
        for name, some in _COUNTED.items()
    }
