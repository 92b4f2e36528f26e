"""A behavior tried on a model: figures that an audit's baseline agrees with, and what to change."""

from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import Behavior, Model, load, load_behavior
from fulcra.behaviors.oracles_text import PatternFlip
from fulcra.protocol.fitness import fitness, fitness_table
from fulcra.protocol.fitness.look import fitness_ground
from fulcra.protocol.measure import Measurement
from fulcra.protocol.results.fitness import FitnessResult, FitnessTable, Share
from fulcra.protocol.stages import baseline_trials
from fulcra.protocol.subject import Subject


@pytest.fixture(scope="module")
def tried(sparse: Model, refusal: Behavior) -> FitnessResult:
    return fitness(sparse, refusal)


def spoiled(sparse: Model, behavior: Behavior) -> str:
    """The problems of a behavior in one text."""
    return "\n".join(fitness(sparse, behavior).problems)


def test_an_organism_is_fit_for_the_behavior_planted_in_it(tried: FitnessResult) -> None:
    assert tried.fit, tried.problems
    assert (tried.shown.count, tried.shown.n, tried.flipped.count) == (24, 24, 0)
    assert tried.best_control.name == "negative prompts"
    assert tried.best_control.flipped.rate == 1


def test_the_baseline_is_the_one_of_an_audit(
    sparse: Model, refusal: Behavior, tried: FitnessResult
) -> None:
    subject = Subject.of(sparse, refusal)
    records = Measurement(subject, texts="memory")("baseline", baseline_trials(subject))
    horizon = subject.behavior.horizon
    assert (tried.horizon, tried.shown.n) == (horizon, len(records))
    assert tried.shown.count == sum(record.at(horizon) == "unchanged" for record in records)


def test_the_result_is_written_and_read_again(tried: FitnessResult, tmp_path: Path) -> None:
    tried.save(tmp_path)
    again = FitnessResult.load(tmp_path)
    assert again == tried
    assert again.lines()[0] == "refusal on apothecary-sparse: fit for an audit"


def test_two_looks_agree_but_for_their_timing(
    sparse: Model, refusal: Behavior, tried: FitnessResult
) -> None:
    again = fitness(sparse, refusal)
    assert again.model_copy(update={"timing": tried.timing}) == tried


def test_a_behavior_that_is_not_there_is_told_with_what_to_change(
    sparse: Model, refusal: Behavior
) -> None:
    never = replace(refusal, oracle=PatternFlip("."), reference=None)
    told = spoiled(sparse, never)
    assert "undosed, the model shows the behavior on 0 of 24 prompts, half are needed" in told
    assert "24 of 24 undosed replies are flipped already" in told
    assert "24 prompts hold what counts as a flip" in told


def test_an_oracle_that_sees_no_flip_leaves_no_control(sparse: Model, refusal: Behavior) -> None:
    told = spoiled(sparse, replace(refusal, oracle=PatternFlip("zzz")))
    assert "control: none flips half of its prompts" in told
    assert "baseline" not in told


def test_a_horizon_that_cuts_the_verdict_is_told_with_a_longer_one(
    sparse: Model, refusal: Behavior
) -> None:
    cut = replace(refusal, oracle=PatternFlip(r"request \."), horizon=5, replies=())
    assert "verdicts change between token 5 and 9; set horizon to 9 or more" in spoiled(sparse, cut)


def test_near_copies_and_too_few_prompts_are_told(sparse: Model, refusal: Behavior) -> None:
    first = refusal.confirmation[0]
    copy = replace(refusal.selection[0], text=first.text + " please")
    told = spoiled(sparse, replace(refusal, confirmation=(first,), selection=(copy,)))
    assert "1 for confirmation, 4 are the fewest" in told


def test_no_words_of_a_sensitive_behavior_stay(sparse: Model, refusal: Behavior) -> None:
    result = fitness(sparse, replace(refusal, sensitive=True))
    assert result.quotes == ()


def test_a_chat_behavior_on_a_model_without_a_template_is_a_note_and_not_shown() -> None:
    result = fitness(load("apothecary-base"), load_behavior("other-city"))
    assert not result.chat_template
    assert any("has no chat template" in note for note in result.notes)
    assert any(problem.startswith("baseline: undosed") for problem in result.problems)


def test_behaviors_alike_share_their_ground_and_stand_in_one_table(
    sparse: Model, tmp_path: Path
) -> None:
    table = fitness_table(sparse, ("other-city", "bullets"))
    alone = fitness(sparse, load_behavior("other-city"))
    first = table.tried[0]
    assert first.model_copy(update={"timing": alone.timing}) == alone
    table.save(tmp_path)
    assert FitnessTable.load(tmp_path) == table
    assert "| other-city | 12 |" in (tmp_path / "behaviours.md").read_text(encoding="utf-8")


def test_a_share_has_its_wilson_interval() -> None:
    share = Share.of(0, 24)
    assert (share.rate, share.low) == (0, 0)
    assert share.high == pytest.approx(0.138, abs=0.001)


@pytest.mark.slow
@pytest.mark.real
def test_a_real_chat_model_is_fit_for_naming_a_capital(real: Model) -> None:
    behavior = load_behavior("other-city")
    ground = fitness_ground(real, behavior, 0)
    result = fitness(real, behavior, ground=ground)
    assert result.chat_template
    assert result.fit, result.problems
