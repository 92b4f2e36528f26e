"""The side effects of one recipe: on its own behavior, on other sets, on everything else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.edits import require_edits
from fulcra.protocol.opinions import Panel
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.effects import EffectsResult, RecipeEntry
from fulcra.protocol.results.judging import Paired
from fulcra.protocol.runs import model_entry, provenance_of
from fulcra.protocol.subject import Ground, Subject, in_tokens_of
from fulcra.studies.effects.other_text import Items, besides, kl_per_token, paired
from fulcra.studies.effects.sets import behavior_items, confirmed, evaluated, paired_figures
from fulcra.studies.effects.tasks import Scores, require_harness, task_scores
from fulcra.studies.recipe import Recipe
from fulcra.types import Behavior, Edits

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class EffectsSettings:
    """Tasks of the lm-evaluation-harness with `limit` items each, own ones in a folder; the seed.

    No limit takes all items.
    """

    tasks: tuple[str, ...] = ()
    limit: int | None = None
    task_folder: Path | None = None
    seed: int = 0


def effects(
    model: Model,
    behaviors: Sequence[Behavior],
    recipe: Recipe,
    settings: EffectsSettings = EffectsSettings(),
    panel: Panel = Panel(),
    progress: Progress | None = None,
) -> EffectsResult:
    """Every figure with and without the recipe, paired item by item, with intervals; no text.

    Each behavior is a set: typed outcomes and quality of its confirmation prompts, by the run and
    by every judge. With the first one's texts: surprise and divergence on generic text,
    over-refusal and accuracy on allowed requests. Tasks go through the lm-evaluation-harness with
    the edited model in this process.
    """
    if settings.tasks:
        require_harness()
    recipe.require(model)
    _require_names(behaviors)
    panels = [panel.seated(behavior, recipe.sha256) for behavior in behaviors]
    clock, edits = Clock(progress or Silent()), recipe.edits
    with clock.step("clean ground", 0):
        subjects = _subjects(model, behaviors, settings.seed)
    first = subjects[0]
    with clock.step("other text", 0):
        clean, edited = (besides(first, side) for side in ((), edits))
        divergence = kl_per_token(first.ground, edits)
    sets = [
        evaluated(subject, recipe, seated, clock)
        for subject, seated in zip(subjects, panels, strict=True)
    ]
    result = EffectsResult(
        schema_version=SCHEMA_VERSION,
        recipe=RecipeEntry(name=recipe.name, sha256=recipe.sha256, edits=tuple(map(str, edits))),
        model=model_entry(model),
        sets=tuple(sets),
        figures=paired_figures(clean, edited, settings.seed),
        kl_per_token=divergence,
        provenance=effects_provenance(first.ground, settings.seed),
        tasks=_tasks(model, edits, settings, clock),
        timing=clock.timing(),
    )
    return EffectsResult.of(result.plain())


def _require_names(behaviors: Sequence[Behavior]) -> None:
    """InputError where there is no set, or two have one name."""
    if not behaviors:
        raise InputError("effects: no behavior was given; give a list of one or more")
    name, count = Counter(behavior.name for behavior in behaviors).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"effects: two sets are called {name}; measure one of them in a call of its own"
        )


def _subjects(model: Model, behaviors: Sequence[Behavior], seed: int) -> list[Subject]:
    """The model under every behavior; those with the same generic text and reference share it."""
    grounds: dict[object, Ground] = {}
    subjects = []
    for behavior in behaviors:
        key = (behavior.generic, behavior.system, behavior.reference)
        if key not in grounds:
            grounds[key] = Subject.of(model, behavior, seed).ground
        subjects.append(Subject(grounds[key], in_tokens_of(model, behavior), seed))
    return subjects


def _tasks(
    model: Model, edits: Edits, settings: EffectsSettings, clock: Clock
) -> dict[str, Paired]:
    """The score of every task without and with the edits."""
    if not settings.tasks:
        return {}
    scores: list[Scores] = []
    with clock.step("tasks", 2) as bar:
        for side in ((), edits):
            limit, folder = settings.limit, settings.task_folder
            scores.append(task_scores(model, settings.tasks, side, limit, folder))
            bar.advance(1)
    clean, edited = scores
    return {name: paired(items, edited[name], settings.seed) for name, items in clean.items()}


def effects_provenance(ground: Ground, seed: int) -> Provenance:
    """Versions, hashes and seed under which side effects were measured."""
    return provenance_of(
        ground.model,
        generic_sha256=ground.text.sha256,
        reference=ground.reference.name,
        coherence=asdict(ground.standard),
        seed=seed,
    )


def measured(subject: Subject, edits: Edits) -> dict[str, Items]:
    """Every figure of one set of edits, item by item."""
    require_edits(subject.model, edits)
    outcomes = behavior_items(confirmed(subject, edits), subject.behavior)
    return outcomes | besides(subject, edits)
