"""`fulcra recipe` and `fulcra steer` from run to text, and their refusals."""

import json
from pathlib import Path

import pytest

from fulcra import Behavior, Model, Neuron, pin
from fulcra.behaviors import behavior_sha256
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.store import COMMITMENT, read_json
from fulcra.studies.recipe import PredictedWindow, Recipe, RecipeBehavior, RecipeModel
from fulcra.types import Edge
from tests.cli.conftest import Call


@pytest.fixture
def recipe(sparse: Model, refusal: Behavior, tmp_path: Path) -> Path:
    return written(sparse, refusal, tmp_path, sensitive=False)


def written(model: Model, behavior: Behavior, folder: Path, sensitive: bool) -> Path:
    ceiling = predicted_entry(Edge(0.01, "kl_ladder", 2))
    made = Recipe(
        name="gate",
        model=RecipeModel(name=model.name, sha256=model.sha256),
        behavior=RecipeBehavior(
            name="refusal", sha256=behavior_sha256(behavior), sensitive=sensitive
        ),
        edits=(pin(Neuron(2, 307), -2.0),),
        windows=(PredictedWindow(branch="L2.N307-", budget=40.0, ceiling=ceiling),),
    )
    return made.save(folder)


def test_a_run_s_branch_becomes_a_recipe_that_steers(
    fulcra: Call, audited: Path, tmp_path: Path, refusal: Behavior
) -> None:
    branch = read_json(audited / COMMITMENT)["content"]["branches"][0]["branch"]
    out = tmp_path / "r.json"
    made = fulcra("recipe", audited, "--branch", branch, "--gain", 0.45, "--out", out)
    assert made.code == 0
    assert f"add({branch}, gain 0.45) of apothecary-sparse, for refusal" in made.out
    steered = fulcra(
        "steer",
        "apothecary-sparse",
        "-r",
        out,
        "-p",
        refusal.confirmation[0].text,
        "--tokens",
        6,
        "--json",
    )
    assert steered.code == 0
    document = json.loads(steered.out)
    assert document["undosed"]["outcome"] == "refuse"
    assert document["doses"][0]["gain"] == pytest.approx(0.45, rel=1e-4)
    assert document["dosed"]["told"]["text"]


def test_both_texts_stand_side_by_side_and_a_dose_beyond_the_ceiling_is_told(
    fulcra: Call, recipe: Path, refusal: Behavior
) -> None:
    left = fulcra(
        "steer", "apothecary-sparse", "--recipe", recipe, "--prompt", refusal.confirmation[0].text
    )
    assert left.code == 0
    assert "undosed" in left.out
    assert "refuse," in left.out
    assert "actionable," in left.out
    assert "lies beyond the predicted ceiling 0.01 of L2.N307-; expect broken text" in left.line


@pytest.mark.parametrize("options", [("--json",), (), ("--quiet",)])
def test_the_texts_of_a_sensitive_behavior_are_never_shown(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = written(sparse, refusal, tmp_path, sensitive=True)
    prompt = refusal.confirmation[0]
    left = fulcra("steer", "apothecary-sparse", "-r", path, "-p", prompt.text, *options)
    assert left.code == 0
    assert prompt.answer is not None
    for word in (*prompt.answer.split(), "sorry", "desole", "cannot"):
        assert len(word) < 4 or word not in left.out
    assert ("actionable" in left.out) == ("--quiet" not in options)


def test_bad_input_is_one_line(fulcra: Call, recipe: Path, audited: Path, tmp_path: Path) -> None:
    call = ("steer", "apothecary-sparse", "-p", "the capital of", "-r")
    assert (
        "no such file; make one with `fulcra recipe"
        in fulcra(*call, tmp_path / "none.json").refusal
    )
    assert (
        "doses do not carry over, make a recipe for this model"
        in fulcra("steer", "apothecary-dense", *call[2:], recipe).refusal
    )
    saved = json.loads(recipe.read_text())
    recipe.write_text(json.dumps(saved | {"schema_version": 7}))
    assert "schema_version is 7, this fulcra reads 1" in fulcra(*call, recipe).refusal
    recipe.write_text(json.dumps(saved | {"behavior": saved["behavior"] | {"sha256": "0" * 64}}))
    assert "not the one that recipe 'gate' was made for" in fulcra(*call, recipe).refusal
    recipe.write_text(json.dumps(saved | {"edits": [saved["edits"][0] | {"neuron": "L2.N999+"}]}))
    assert "neurons 0-383" in fulcra(*call, recipe).refusal
    made = ("recipe", audited, "--out", tmp_path / "r.json", "--branch")
    assert "measured no branch L7.N99+" in fulcra(*made, "L7.N99+").refusal
    assert "no pole" in fulcra(*made, "L7.N99").refusal
    branch = read_json(audited / COMMITMENT)["content"]["branches"][0]["branch"]
    assert (
        "found --scale and --pin; give one dose"
        in fulcra(*made, branch, "--scale", 0, "--pin", 1).refusal
    )
    assert "dose is nan; give a finite number" in fulcra(*made, branch, "--pin", "nan").refusal
    assert not (tmp_path / "r.json").exists()
