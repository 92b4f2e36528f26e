"""What was learnt of a model is learnt once; a run's windows are those that it committed."""

import shutil
from pathlib import Path

import pytest

from fulcra import Behavior, Model, load
from fulcra.errors import InputError
from fulcra.playground.beginning import offered
from fulcra.playground.workbench import Choice, Workbench
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.store import COMMITMENT, read_json
from fulcra.studies.recipe import Recipe, recipe_of_run
from fulcra.types import Neuron
from tests.playground.conftest import EVIDENCE, OPEN


def test_a_run_fills_the_list_with_its_branches_open_ones_first(bench: Workbench) -> None:
    branches = bench.neurons("refusal", EVIDENCE.name)
    committed = read_json(EVIDENCE / COMMITMENT)["content"]["branches"]
    assert sorted(branches) == sorted(entry["branch"] for entry in committed)
    assert OPEN in branches[:5]
    assert bench.beginnings[EVIDENCE.name] == Choice("refusal", EVIDENCE.name, branches[0])


def test_the_windows_of_a_run_are_those_it_committed(bench: Workbench) -> None:
    for entry in read_json(EVIDENCE / COMMITMENT)["content"]["branches"][:8]:
        window = bench.known(Choice("refusal", EVIDENCE.name, entry["branch"]))
        assert window is not None
        assert window.run == EVIDENCE.name
        assert window.place.budget == entry["budget"]
        assert predicted_entry(window.ceiling).plain() == entry["ceiling_predicted"]


def test_a_window_predicted_here_is_that_of_the_audit(bench: Workbench, choice: Choice) -> None:
    committed, here = bench.window(choice), bench.window(choice._replace(run=""))
    assert here.run is None
    assert here.ceiling.gain == pytest.approx(committed.ceiling.gain, rel=1e-4)
    assert here.trigger is not None
    assert committed.trigger is not None
    assert here.trigger.gain == pytest.approx(committed.trigger.gain, rel=1e-4)


def test_everything_is_made_once(bench: Workbench, choice: Choice) -> None:
    alone = choice._replace(run="")
    assert bench.subject("refusal") is bench.subject("refusal")
    assert bench.window(alone) is bench.window(alone)
    assert bench.card(choice) is bench.card(choice._replace(branch="L2.N307+"))


def test_a_card_takes_the_edges_that_are_there_and_what_the_run_measured(
    bench: Workbench, choice: Choice
) -> None:
    card = bench.card(choice)
    down = next(branch for branch in card.branches if branch.branch == OPEN)
    entry = read_json(EVIDENCE / COMMITMENT)["content"]["branches"]
    committed = next(each for each in entry if each["branch"] == OPEN)
    assert down.ceiling.plain() == committed["ceiling_predicted"]
    assert down.measured is not None
    assert card.run == EVIDENCE.name


def test_a_saved_dose_is_the_recipe_that_the_run_would_give(
    bench: Workbench, choice: Choice, tmp_path: Path
) -> None:
    window = bench.window(choice)
    made, theirs = bench.recipe(choice, 0.6), recipe_of_run(EVIDENCE, OPEN, gain=0.75)
    assert made.edits[0].value == pytest.approx(theirs.edits[0].value, rel=1e-4)
    assert made.windows[0] == theirs.windows[0]
    assert made.behavior is not None
    assert theirs.behavior is not None
    assert made.behavior.sha256 == theirs.behavior.sha256
    assert Recipe.load(made.save(tmp_path)).require(bench.model).windows[0].branch == window.branch


def test_without_a_run_the_contrastive_screen_names_neurons(bench: Workbench) -> None:
    names = bench.neurons("refusal")
    assert len(set(names)) == len(names) == 12
    for name in names:
        bench.model.require(Neuron(name))


def test_a_run_of_another_model_is_refused(refusal: Behavior) -> None:
    dense = Workbench(load("apothecary-dense"), [refusal])
    with pytest.raises(InputError, match="measured apothecary-sparse with weights"):
        dense.load_run(EVIDENCE)


def test_two_runs_of_one_name_are_not_mixed_up(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    made = Workbench(sparse, [refusal])
    made.load_run(EVIDENCE)
    made.load_run(EVIDENCE)
    copy = Path(shutil.copytree(EVIDENCE, tmp_path / EVIDENCE.name))
    with pytest.raises(InputError, match="another run of the name audit-sparse"):
        made.load_run(copy)


def test_a_run_that_took_less_of_a_behavior_stands_beside_the_whole_one(
    sparse: Model, refusal: Behavior, audited: Path
) -> None:
    made = Workbench(sparse, [refusal])
    begun = made.load_run(audited)
    assert made.behavior(begun.behavior).name == "refusal"
    assert made.neurons(begun.behavior, begun.run)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice("other"), "behavior 'other': not here"),
        (Choice("refusal", "gone", OPEN), "run 'gone': not loaded"),
        (Choice("refusal", "", "L99.N1+"), "L99.N1"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    choice: Choice, words: str, bench: Workbench
) -> None:
    ask = bench.window if choice.branch else lambda choice: bench.subject(choice.behavior)
    with pytest.raises(InputError, match=words) as refusal:
        ask(choice)
    assert "\n" not in str(refusal.value)


def test_an_organism_offers_its_own_behaviors_and_those_named_come_first() -> None:
    names = [behavior.name for behavior in offered("apothecary-sparse", ["language-fr"])]
    assert names[:2] == ["language-fr", "refusal"]
    assert len(set(names)) == len(names)
    assert not any(name.startswith("policy") for name in names)
