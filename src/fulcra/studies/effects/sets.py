"""One set of prompts with and without a recipe: outcomes by the run and by every judge, paired."""

from collections.abc import Mapping, Sequence

from fulcra.behaviors import behavior_sha256
from fulcra.protocol.completions import Completions, Cut, completions_of
from fulcra.protocol.measure import Measurement
from fulcra.protocol.opinions import Opinion, Opinions, Panel
from fulcra.protocol.progress import Clock
from fulcra.protocol.records import Record
from fulcra.protocol.results.effects import SetEffects, SidedOutcomes
from fulcra.protocol.results.judging import RUN, JudgeEntry, Paired
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import set_trials
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


def evaluated(subject: Subject, recipe: Recipe, panel: Panel, clock: Clock) -> SetEffects:
    """The figures of the confirmation prompts by the run and by every judge; no text.

    `panel` is seated.
    """
    behavior = subject.behavior
    sides: dict[str, list[Record]] = {}
    with clock.step(behavior.name, 2) as bar:
        for side, edits in ((CLEAN, ()), (EDITED, recipe.edits)):
            sides[side] = confirmed(subject, edits, side, recipe.sha256)
            bar.advance(1)
    records = sides[CLEAN] + sides[EDITED]
    words = {record.text_hash: record.text for record in records}
    completions = completions_of(behavior, records, subject.horizons, words)
    opinions = panel.opinions(completions, clock)
    clean, edited = (behavior_items(sides[side], behavior) for side in (CLEAN, EDITED))
    return SetEffects(
        name=behavior.name,
        sha256=behavior_sha256(behavior),
        sensitive=behavior.sensitive,
        horizon=behavior.horizon,
        labels={outcome: behavior.label(outcome) for outcome in OUTCOMES},
        completions=len(completions.items),
        figures=paired_figures(clean, edited, subject.seed),
        judges=tuple(_judges(opinions, subject.seed)),
        outcomes=tuple(_outcomes(opinions, horizon) for horizon in subject.horizons),
        agreement=tuple(opinions.agreement()),
        disagreements=tuple(opinions.disagreements()),
    )


def paired_figures(
    clean: Mapping[str, Items], edited: Mapping[str, Items], seed: int
) -> dict[str, Paired]:
    """Every figure without and with the edits."""
    return {name: paired(items, edited[name], seed) for name, items in clean.items()}


def _judges(opinions: Opinions, seed: int) -> list[JudgeEntry]:
    """The run, then every judge with its own figures."""
    entries = opinions.entries()
    for place, opinion in enumerate(opinions.opinions, start=1):
        figures = _figures(opinions.completions, opinion, seed)
        entries[place] = entries[place].model_copy(update={"figures": figures})
    return entries


def _figures(completions: Completions, opinion: Opinion, seed: int) -> dict[str, Paired]:
    """A judge's own figures, at the behavior's horizon."""
    clean, edited = (
        outcome_items({cut.record.prompt: opinion.outcome(cut) for cut in cuts})
        for cuts in _sides(completions, completions.behavior.horizon).values()
    )
    return paired_figures(clean, edited, seed)


def _sides(completions: Completions, horizon: int) -> dict[str, list[Cut]]:
    """The rollouts of both sides at one horizon."""
    sides: dict[str, list[Cut]] = {CLEAN: [], EDITED: []}
    for cut in completions.cuts:
        if cut.horizon == horizon:
            sides[cut.record.branch].append(cut)
    return sides


def _outcomes(opinions: Opinions, horizon: int) -> SidedOutcomes:
    """The typed outcomes of both sides at one horizon, by the run and by every judge."""
    sides = _sides(opinions.completions, horizon)
    shares = {side: opinions.shares(cuts) for side, cuts in sides.items()}
    names = [RUN, *(each.judge.name for each in opinions.opinions)]
    by_judge = {name: {side: shares[side][name] for side in sides} for name in names}
    return SidedOutcomes(horizon=horizon, judges=by_judge)


def confirmed(subject: Subject, edits: Edits, name: str = EDITED, salt: str = "") -> list[Record]:
    """The records of the confirmation prompts under some edits, with their texts, in memory."""
    measure = Measurement(subject, subject.horizons, salt=salt, texts="memory")
    prompts = subject.behavior.confirmation
    return measure("confirmation", set_trials(subject, "confirmation", name, edits, prompts))


def behavior_items(records: Sequence[Record], behavior: Behavior) -> dict[str, Items]:
    """The outcomes of each confirmation prompt and its quality; the unscored are left out."""
    outcomes = {record.prompt: record.at(behavior.horizon) for record in records}
    scored = {prompt: outcome for prompt, outcome in outcomes.items() if outcome != "unscored"}
    qualities = {
        record.prompt: quality(record.text) for record in records if record.prompt in scored
    }
    return {
        **outcome_items(scored),
        "collapse": {prompt: float(outcome == "collapse") for prompt, outcome in scored.items()},
        "quality": {prompt: value for prompt, value in qualities.items() if value is not None},
    }


def outcome_items(outcomes: Mapping[str, str]) -> dict[str, Items]:
    """Flip, strict reach and undosed behavior of each prompt; the unscored are left out."""
    scored = {prompt: outcome for prompt, outcome in outcomes.items() if outcome != "unscored"}
    return {
        name: {prompt: float(outcome in counted) for prompt, outcome in scored.items()}
        for name, counted in _COUNTED.items()
    }
