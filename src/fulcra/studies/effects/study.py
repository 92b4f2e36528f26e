"""The side effects of one recipe: the behavior it was made for, other sets, and everything else,
with and without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fulcra.errors import InputError
from fulcra.judges.judge import Judge, Price
from fulcra.models import Model
from fulcra.models.edits import require_edits
from fulcra.protocol.opinions import seated
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import code_version, model_entry, provenance
from fulcra.protocol.subject import Ground, in_tokens_of, prepare
from fulcra.store import plain
from fulcra.studies.effects.other_text import (
    Items,
    allowed_items,
    allowed_of,
    generic_items,
    kl_per_token,
    paired,
)
from fulcra.studies.effects.sets import behavior_items, confirmed, evaluated
from fulcra.studies.effects.tasks import Scores, require_harness, task_scores
from fulcra.studies.recipe import Recipe
from fulcra.types import Behavior, Edits

SCHEMA_VERSION = 2


def effects(
    model: Model,
    behaviors: Sequence[Behavior],
    recipe: Recipe,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    task_folder: Path | None = None,
    judges: Sequence[Judge] = (),
    send_sensitive: bool = False,
    prices: Mapping[str, Price] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every figure with and without the recipe, paired item by item, with intervals; figures only,
    no text.

    Each behavior is a set: typed outcomes and quality of its confirmation prompts, by the run and
    by every judge. With the first one's texts: surprise and divergence on generic text,
    over-refusal and accuracy on allowed requests. `tasks` go through the lm-evaluation-harness with
    the edited model in this process.
    """
    if tasks:
        require_harness()
    recipe.require(model)
    if twice := [
        one.name
        for i, one in enumerate(behaviors)
        if one.name in {other.name for other in behaviors[:i]}
    ]:
        raise InputError(
            f"effects: two sets are called {twice[0]}; measure one of them in a call of its own"
        )
    panels = [seated(judges, behavior, recipe.sha256, send_sensitive) for behavior in behaviors]
    clock, counted = (
        Clock(progress or Silent()),
        [in_tokens_of(model, behavior) for behavior in behaviors],
    )
    with clock.step("clean ground", 0):
        grounds = _grounds(model, counted, seed)
    with clock.step("other text", 0):
        others = _others(model, counted[0], grounds[0], recipe.edits, seed)
    every = zip(counted, grounds, panels, strict=True)
    sets = [
        evaluated(model, behavior, ground, recipe, panel, prices or {}, seed, clock)
        for behavior, ground, panel in every
    ]
    made = {
        "schema_version": SCHEMA_VERSION,
        "recipe": {
            "name": recipe.name,
            "sha256": recipe.sha256,
            "edits": [str(edit) for edit in recipe.edits],
        },
        "model": model_entry(model),
        "sets": sets,
        **others,
        "tasks": _tasks(model, recipe.edits, tasks, limit, task_folder, seed, clock),
    }
    found: dict[str, Any] = plain(made)
    return found | {"timing": clock.timing()}


def _grounds(model: Model, behaviors: Sequence[Behavior], seed: int) -> list[Ground]:
    """The ground of every behavior; those with the same generic text and reference share one."""
    keys = [(behavior.generic, behavior.system, behavior.reference) for behavior in behaviors]
    known = {
        key: prepare(model, behavior, seed)
        for key, behavior in dict(zip(keys, behaviors, strict=True)).items()
    }
    return [known[key] for key in keys]


def _others(
    model: Model, behavior: Behavior, ground: Ground, edits: Edits, seed: int
) -> dict[str, Any]:
    """What becomes of generic text and of allowed requests."""
    clean, edited = (besides(model, behavior, some, seed) for some in ((), edits))
    return {
        "figures": {name: paired(clean[name], edited[name], seed) for name in clean},
        "kl_per_token": kl_per_token(model, ground, edits),
        "provenance": effects_provenance(ground, seed),
    }


def _tasks(
    model: Model,
    edits: Edits,
    tasks: Sequence[str],
    limit: int | None,
    folder: Path | None,
    seed: int,
    clock: Clock,
) -> dict[str, Any]:
    scores: list[Scores] = []
    if tasks:
        with clock.step("tasks", 2) as bar:
            for some in ((), edits):
                scores.append(task_scores(model, tasks, some, limit, folder))
                bar.advance(1)
    return {
        name: paired(scores[0][name], scores[1][name], seed)
        for name in (scores[0] if scores else ())
    }


def effects_provenance(ground: Ground, seed: int) -> dict[str, Any]:
    """Versions, hashes and seed under which side effects were measured."""
    plan: dict[str, Any] = {
        "code": code_version(),
        "generic_sha256": ground.text.sha256,
        "reference": ground.reference.name,
    }
    plan["coherence"] = asdict(ground.standard)
    return provenance(plan) | {"seed": seed}


def measured(
    model: Model, behavior: Behavior, ground: Ground, edits: Edits, seed: int
) -> dict[str, Items]:
    """Every figure of one set of edits, item by item."""
    require_edits(model, edits)
    return behavior_items(confirmed(model, behavior, ground, edits), behavior) | besides(
        model, behavior, edits, seed
    )


def besides(model: Model, behavior: Behavior, edits: Edits, seed: int) -> dict[str, Items]:
    """Generic text and allowed requests under some edits, item by item."""
    return generic_items(model, behavior, edits, seed) | allowed_items(
        model, behavior, allowed_of(behavior), edits
    )
