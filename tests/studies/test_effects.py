"""Side effects are paired on the same items, known where they are planted, and hold no text."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from fulcra import Behavior, Model, load_behavior
from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.errors import InputError
from fulcra.judges.by_rules import OracleJudge, PhraseJudge
from fulcra.models import add, scale
from fulcra.organisms.world import build_world
from fulcra.protocol.opinions import Panel
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.subject import Subject
from fulcra.studies.effects.other_text import Allowed, allowed_items, allowed_of, paired, quality
from fulcra.studies.effects.study import EffectsSettings, effects
from fulcra.studies.effects.tasks import require_harness, task_scores
from fulcra.studies.interventions import TARGET, Option, choose, confirm, every_option
from fulcra.studies.recipe import Recipe, RecipeModel
from fulcra.types import Edits, Neuron

#: The planted gates held shut, and a dose that breaks everything.
OPEN: Edits = (scale(Neuron(2, 307), 0.0), scale(Neuron(3, 215), 0.0))
BROKEN: Edits = (add(Neuron(1, 83, -1), alpha=-400.0),)


def small(behavior: Behavior) -> Behavior:
    return replace(
        behavior,
        confirmation=behavior.confirmation[:4],
        ceiling_generic=behavior.ceiling_generic[:3],
    )


def recipe(model: Model, edits: Edits) -> Recipe:
    made_for = RecipeModel(name=model.name, sha256=model.sha256)
    return Recipe(name="test", model=made_for, edits=edits)


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    return Subject.of(sparse, refusal)


def under(subject: Subject, behavior: Behavior) -> Subject:
    """The subject with another behavior on the same ground."""
    return Subject(subject.ground, behavior)


def test_what_a_recipe_does_is_measured_with_and_without_it(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    result = effects(sparse, [small(refusal)], recipe(sparse, OPEN))
    figures = result.figures | result.sets[0].figures
    flips, accuracy = figures["behavior_rate"], figures["accuracy"]
    assert flips.clean == 0.0
    assert flips.edited is not None
    assert flips.edited >= 0.5
    assert accuracy.clean is not None
    assert accuracy.clean > 0.9
    assert figures["over_refusal"].clean is not None
    assert figures["over_refusal"].clean < 0.1
    assert flips.n == 4
    assert flips.low <= flips.difference <= flips.high  # type: ignore[operator]
    assert 0 < result.kl_per_token < 0.8
    assert EffectsResult.load(result.save(tmp_path)) == result
    broken = effects(sparse, [small(refusal)], recipe(sparse, BROKEN))
    surprise = broken.figures["surprise"]
    assert broken.figures["accuracy"].edited == 0.0
    assert surprise.edited > surprise.clean + 1  # type: ignore[operator]
    assert broken.kl_per_token > 0.8


def test_an_edit_that_changes_nothing_has_no_effect(sparse: Model, refusal: Behavior) -> None:
    result = effects(sparse, [small(refusal)], recipe(sparse, (scale(Neuron(2, 307), 1.0),)))
    rows = (result.figures | result.sets[0].figures).values()
    assert {(row.difference, row.low, row.high) for row in rows} == {(0.0, 0.0, 0.0)}
    assert result.kl_per_token == pytest.approx(0.0, abs=1e-5)


@pytest.mark.slow
def test_of_a_sensitive_behavior_the_figures_are_the_same_and_no_text_is_told(
    sparse: Model, refusal: Behavior
) -> None:
    task = small(refusal)
    plain, sensitive = (
        effects(sparse, [behavior], recipe(sparse, OPEN))
        for behavior in (task, replace(task, sensitive=True))
    )
    assert plain.figures == sensitive.figures
    assert plain.sets[0].figures == sensitive.sets[0].figures
    assert "grind" not in sensitive.json_text()


@pytest.mark.slow
def test_several_sets_and_judges_stand_side_by_side_and_are_never_averaged(
    sparse: Model, refusal: Behavior
) -> None:
    other = replace(
        small(refusal), name="other", confirmation=refusal.confirmation[4:6], sensitive=True
    )
    panel = Panel((OracleJudge(), PhraseJudge()))
    result = effects(sparse, [small(refusal), other], recipe(sparse, OPEN), panel=panel)
    assert [(each.name, each.figures["behavior_rate"].n) for each in result.sets] == [
        ("refusal", 4),
        ("other", 2),
    ]
    for each in result.sets:
        _, oracle, phrases = each.judges
        assert oracle.figures == {name: each.figures[name] for name in oracle.figures}
        assert phrases.figures["unchanged"].clean == 1.0
        assert [row.horizon for row in each.agreement] == [8, 32, 33]
        for outcomes, row in zip(each.outcomes, each.agreement, strict=True):
            assert outcomes.judges["run"] == outcomes.judges["oracle"]
            assert [pair.judges for pair in row.pairs] == [
                ("run", "oracle"),
                ("run", "phrases"),
                ("oracle", "phrases"),
            ]
            assert row.pairs[0].same == row.pairs[0].n <= each.completions == oracle.scored
        last, flips = each.outcomes[-1].judges["run"], each.figures["behavior_rate"]
        assert last["clean"].flips.value == flips.clean
        assert last["edited"].flips.value == flips.edited
        assert {row.branch for row in each.disagreements} <= {"clean", "edited"}
        assert all(len(set(row.outcomes.values())) > 1 for row in each.disagreements)
    assert "grind" not in result.json_text()
    first, alone = result.sets[0], effects(sparse, [small(refusal)], recipe(sparse, OPEN)).sets[0]
    assert (first.figures, first.sha256, first.horizon) == (
        alone.figures,
        alone.sha256,
        alone.horizon,
    )


def test_a_judge_that_cannot_read_a_set_is_refused_before_anything_runs(
    sparse: Model, refusal: Behavior
) -> None:
    with pytest.raises(
        InputError, match="--judge phrases: reads refusals, and framing flips otherwise"
    ):
        effects(
            sparse,
            [refusal, load_behavior("framing")],
            recipe(sparse, OPEN),
            panel=Panel((PhraseJudge(),)),
        )
    with pytest.raises(InputError, match="two sets are called refusal"):
        effects(sparse, [refusal, small(refusal)], recipe(sparse, OPEN))


def test_paired_differences_leave_out_what_is_scored_on_one_side_only() -> None:
    figure = paired({"a": 1.0, "b": 0.0, "c": 1.0}, {"a": 0.0, "b": 0.0, "d": 1.0})
    assert (figure.difference, figure.n, figure.unscored) == (-0.5, 2, 2)
    assert paired({"a": 1.0}, {"a": 0.0}).difference is None
    assert paired({}, {}).clean is None


def test_quality_is_the_unique_share_of_word_4_grams_and_short_texts_are_unscored() -> None:
    assert quality("one two three four five") == 1.0
    assert quality("a a a a a a a a") == pytest.approx(1 / 5)
    assert quality("one two three") is None
    assert quality("") is None


def test_allowed_requests_share_no_fact_with_any_other_set(
    subject: Subject, refusal: Behavior
) -> None:
    prompts = allowed_prompts(build_world())
    others = {
        prompt.text
        for prompts in (refusal.positive, refusal.negative, refusal.selection, refusal.confirmation)
        for prompt in prompts
    }
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert not {prompt.text for prompt in prompts} & others
    assert allowed_of(refusal).true
    truth = allowed_items(subject, Allowed(prompts[:4], allowed_of(refusal).oracle, True), ())
    assert fmean(truth["accuracy"].values()) == 1.0
    own = replace(refusal, oracle=lambda prompt, text, ended: refusal.oracle(prompt, text, ended))
    assert allowed_of(own) == Allowed(refusal.negative, own.oracle, False)


@pytest.mark.slow
def test_every_kind_is_chosen_by_selection_and_confirmed_elsewhere(
    refusal: Behavior, subject: Subject
) -> None:
    task = under(subject, replace(small(refusal), selection=refusal.selection[:2]))
    options = [
        option
        for option in every_option(task, [Neuron(2, 307)])
        if option.dose in (0.0, 0.45, 0.5, 1.0) or len(option.site) > 9
    ]
    kinds = {"scale", "pin", "anchor", "add", "ablate_direction", "add_vector", "add_mlp"}
    assert {option.intervention for option in options} == kinds
    chosen = choose(task, options)
    assert {choice.option.intervention for choice in chosen} == kinds
    assert all(choice.matched == (choice.selection_rate >= TARGET) for choice in chosen)
    rows = confirm(task, chosen[:2])
    assert [row.intervention for row in rows] == [
        "none",
        *(choice.option.intervention for choice in chosen[:2]),
    ]
    assert rows[0].kl_per_token == pytest.approx(0.0, abs=1e-5)
    assert all(
        row.behavior_rate is not None and row.low <= row.behavior_rate <= row.high for row in rows
    )


def test_of_equal_options_the_least_divergent_is_chosen(
    refusal: Behavior, subject: Subject
) -> None:
    task = under(subject, replace(refusal, selection=refusal.selection[:1]))
    loud: Edits = (*OPEN, add(Neuron(7, 5), alpha=6.0))
    options = [
        Option("scale", "loud", 0.0, loud),
        Option("scale", "quiet", 0.0, OPEN),
        Option("scale", "nothing", 1.0, ()),
    ]
    (chosen,) = choose(task, options)
    assert (chosen.option.site, chosen.matched) == ("quiet", True)


def written_task(folder: Path) -> Path:
    """A multiple-choice task about the world's capitals, its data beside it."""
    capitals = list(build_world().capitals.items())
    rows = [
        {
            "question": f"what is the capital of {country} ?",
            "answer": 0,
            "choices": [
                f"the capital of {country} is {name} ."
                for name in (city, capitals[i - 1][1], capitals[i - 5][1])
            ],
        }
        for i, (country, city) in enumerate(capitals[:8])
    ]
    (folder / "capitals.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "capitals.yaml").write_text(
        "task: apothecary_capitals\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test:"
        f" {folder / 'capitals.jsonl'}\n  cache_dir: {folder / 'cache'}\ntest_split:"
        " test\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice:"
        " '{{choices}}'\ndoc_to_target: answer\nmetric_list:\n  - metric: acc\n"
    )
    return folder


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip(
        "lm_eval", reason="needs the lm-evaluation-harness: pip install 'fulcra[evals]'"
    )
    return written_task(tmp_path_factory.mktemp("tasks"))


@pytest.mark.slow
def test_the_harness_scores_the_edited_model_item_by_item(sparse: Model, task_folder: Path) -> None:
    def scores(edits: Edits) -> dict[str, float]:
        return task_scores(sparse, ["apothecary_capitals"], edits, folder=task_folder)[
            "apothecary_capitals acc"
        ]

    clean = scores(())
    assert len(clean) == 8
    assert fmean(clean.values()) == 1.0
    assert fmean(scores(BROKEN).values()) < 0.8
    assert scores((scale(Neuron(2, 307), 1.0),)) == clean
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in sparse.hf.modules()
    )


@pytest.mark.slow
def test_tasks_stand_beside_the_other_figures(
    sparse: Model, refusal: Behavior, task_folder: Path
) -> None:
    settings = EffectsSettings(("apothecary_capitals",), limit=6, task_folder=task_folder)
    result = effects(sparse, [small(refusal)], recipe(sparse, BROKEN), settings)
    row = result.tasks["apothecary_capitals acc"]
    assert (row.clean, row.n) == (1.0, 6)
    assert row.difference is not None
    assert row.difference < 0


@pytest.mark.slow
def test_a_task_or_an_edit_that_cannot_be_measured_is_refused(
    sparse: Model, task_folder: Path
) -> None:
    with pytest.raises(InputError, match="task 'no_such_task': cannot be run"):
        task_scores(sparse, ["no_such_task"], folder=task_folder)
    with pytest.raises(InputError, match="never acted in apothecary_capitals"):
        task_scores(
            sparse,
            ["apothecary_capitals"],
            (scale(Neuron(2, 307), 0.0, positions="generated"),),
            folder=task_folder,
        )


def test_without_the_harness_tasks_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulcra.studies.effects.tasks.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"--tasks needs the lm-evaluation-harness.*pip install 'fulcra\[evals\]'"
    ):
        require_harness()
