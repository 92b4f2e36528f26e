"""A recipe is what its file says: read back it edits alike, and a spoilt one is one clear line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.splits import shortened
from fulcra.cli.recipe import recipe_behavior, recipe_sets
from fulcra.engines.edit import branch_coordinate
from fulcra.errors import InputError
from fulcra.models import ablate_direction, add, add_mlp, anchor, applied_rows, load, pin, scale
from fulcra.store import AUDIT, COMMITMENT, read_json
from fulcra.studies.recipe import Recipe, RecipeBehavior, RecipeModel, recipe_of_run
from fulcra.studies.recipe import recipe as make_recipe
from fulcra.types import Direction, Edits, Neuron

VECTOR = torch.linspace(-1, 1, 128)
EVERY: Edits = (
    add(Neuron(2, 307, -1), alpha=-3.25),
    scale(Neuron(3, 5), 0.0),
    pin(Neuron(4, 6), 1.5, positions="generated"),
    anchor(Neuron(5, 7), -2.0, gap=0.25, k=2.0),
    add(Direction(4, "flip", VECTOR), alpha=0.5),
    add_mlp(Direction(1, "mlp", VECTOR), 0.25),
    ablate_direction(Direction(6, "difference", VECTOR)),
)


@pytest.fixture
def recipe(sparse: Model) -> Recipe:
    return made(sparse, "every op", EVERY)


def made(model: Model, name: str, edits: Edits) -> Recipe:
    made_for = RecipeModel(name=model.name, sha256=model.sha256)
    return Recipe(name=name, model=made_for, edits=edits)


@pytest.fixture
def written(recipe: Recipe, tmp_path: Path) -> Path:
    return recipe.save(tmp_path)


def test_a_recipe_read_back_holds_every_kind_of_edit(
    sparse: Model, recipe: Recipe, written: Path, tmp_path: Path
) -> None:
    reread = Recipe.load(written).require(sparse)
    assert reread == recipe
    for edit, original in zip(reread.edits, EVERY, strict=True):
        if isinstance(edit.site, Direction) and isinstance(original.site, Direction):
            torch.testing.assert_close(edit.site.vector, original.site.vector, rtol=1e-5, atol=1e-6)
    ids = torch.tensor([sparse.prompt_ids("how do i make the tonic ?")])
    logits = []
    for edits in (EVERY, reread.edits):
        with torch.no_grad(), applied_rows(sparse, edits, every_row=True) as applied:
            logits.append(sparse.hf(input_ids=ids).logits)
        assert applied.passes > 0
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-3)
    again = reread.save(tmp_path / "again")
    assert again.read_bytes() == written.read_bytes()
    assert Recipe.load(again).sha256 == Recipe.load(again.parent).sha256 == reread.sha256


def test_a_made_recipe_has_its_dose_and_the_windows_it_moves_along(
    sparse: Model, refusal: Behavior
) -> None:
    two = make_recipe(
        sparse, (add(Neuron(1, 83, -1), gain=0.5), scale(Neuron(2, 307), 0.0)), "two", refusal
    )
    coordinate = branch_coordinate(sparse, Neuron(1, 83, -1), behavior=refusal)
    assert two.edits[0].value == pytest.approx(-0.5 * coordinate.budget)
    assert [window.branch for window in two.windows] == ["L1.N83-", "L2.N307+", "L2.N307-"]
    assert two.windows[0].budget == coordinate.budget
    assert (two.windows[0].ceiling.method, two.windows[0].ceiling.tier) == ("kl_ladder", 2)
    assert two.behavior is not None
    assert (two.behavior.name, two.behavior.sha256, two.sensitive) == (
        "refusal",
        behavior_sha256(refusal),
        False,
    )


def test_the_same_gain_is_the_same_dose_in_python_and_of_a_run(
    audited: Path, sparse: Model, refusal: Behavior
) -> None:
    entry = read_json(audited / COMMITMENT)["content"]["branches"][1]
    made = make_recipe(sparse, [add(Neuron(entry["branch"]), gain=0.5)], "one", refusal)
    (dosed,) = recipe_of_run(audited, entry["branch"], gain=0.5).edits
    assert made.edits[0].value == pytest.approx(dosed.value, rel=1e-4)
    assert made.windows[0].budget == pytest.approx(entry["budget"], rel=1e-4)
    assert made.windows[0].ceiling.gain == pytest.approx(
        entry["ceiling_predicted"]["gain"], rel=1e-3
    )
    bare = make_recipe(sparse, [add(Neuron(entry["branch"]), gain=0.5)], "one")
    assert bare.edits[0].value != pytest.approx(dosed.value, rel=1e-3)


def test_a_recipe_of_a_run_holds_what_the_run_committed(audited: Path, sparse: Model) -> None:
    committed = read_json(audited / COMMITMENT)
    entry = committed["content"]["branches"][1]
    neuron = Neuron.parse(entry["branch"])
    dosed = recipe_of_run(audited, entry["branch"], gain=0.5)
    assert dosed.edits[0].value == pytest.approx(0.5 * entry["budget"] * neuron.pole)
    assert {window.branch for window in dosed.windows} == {str(neuron), str(neuron.opposite)}
    window = dosed.window(str(neuron))
    assert window is not None
    assert window.ceiling.gain == entry["ceiling_predicted"]["gain"]
    assert dosed.source == {"commitment": committed["sha256"]}
    behavior = dosed.require(sparse).behavior
    assert behavior is not None
    assert behavior.sha256 == read_json(audited / AUDIT)["behavior"]["sha256"]
    best = next(
        entry
        for entry in read_json(audited / AUDIT)["neurons"]
        if entry["neuron"] + entry["pole"] == str(neuron)
    )
    assert recipe_of_run(audited, entry["branch"]).edits[0].gain == best["outcomes_gain"]
    with pytest.raises(InputError, match=r"measured no branch L7\.N1\+; it measured L"):
        recipe_of_run(audited, "L7.N1+")


def test_a_recipe_of_an_audit_of_fewer_prompts_is_measured_on_those(
    recipe: Recipe, refusal: Behavior
) -> None:
    taken = shortened(refusal, 4, 6)
    limits = RecipeBehavior(
        name="refusal", sha256=behavior_sha256(taken), sensitive=False, prompts=4, horizon=6
    )
    made = recipe.model_copy(update={"behavior": limits})
    assert limits.taken_from(refusal) == taken
    assert limits.taken_from(replace(refusal, selection=refusal.selection[1:])) is None
    assert recipe_behavior(made, None, None) == taken
    assert recipe_sets(made, ["refusal"], [], None) == [taken]


def test_a_recipe_for_other_weights_is_refused(recipe: Recipe) -> None:
    with pytest.raises(
        InputError, match=r"made for apothecary-sparse with weights .* doses do not carry over"
    ):
        recipe.require(load("apothecary-dense"))


def spoilt(path: Path, change: dict[str, Any], edit: dict[str, Any]) -> Path:
    held = json.loads(path.read_text())
    held = {key: value for key, value in (held | change).items() if value is not ...}
    held["edits"] = [held["edits"][0] | edit, *held["edits"][1:]]
    path.write_text(json.dumps(held))
    return path


@pytest.mark.parametrize(
    ("change", "edit", "line"),
    [
        (
            {"schema_version": 2},
            {},
            "schema_version is 2, this fulcra reads 1; make the recipe anew",
        ),
        ({"schema_version": ...}, {}, "schema_version is None"),
        ({"strength": 3}, {}, "unknown key 'strength'; take it out"),
        ({"model": ...}, {}, "the key 'model' is missing; add it"),
        ({}, {"pole": "+"}, r"unknown key 'edits\.0\.pole'; take it out"),
        (
            {},
            {"value": float("nan")},
            r"edits\.0\.value: Input should be a finite number, found nan",
        ),
        (
            {},
            {"value": float("inf")},
            r"edits\.0\.value: Input should be a finite number, found inf",
        ),
        (
            {},
            {"op": "anchor", "k": float("inf"), "gap": 1.0},
            r"edits\.0\.k: Input should be a finite number",
        ),
        ({}, {"op": "anchor", "k": 1.0, "gap": 0.0}, "an anchor divides by d"),
        ({}, {"op": "anchor"}, "needs k and gap with op anchor"),
        ({}, {"k": 1.0}, "needs k and gap with op anchor and with no other"),
        ({}, {"op": "turn"}, r"edits\.0: Input tag 'turn' found"),
        ({}, {"neuron": "second"}, "neuron 'second': expected a name like"),
        ({}, {"positions": "some"}, r"edits\.0\.positions: Input should be 'all'"),
    ],
)
def test_a_spoilt_file_is_one_clear_line(
    written: Path, change: dict[str, Any], edit: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=line) as refused:
        Recipe.load(spoilt(written, change, edit))
    assert str(refused.value).startswith(f"recipe {written}: ")
    assert "\n" not in str(refused.value)


def test_a_neuron_or_vector_that_the_model_does_not_have_is_refused(sparse: Model) -> None:
    for edits, line in (
        ((scale(Neuron(2, 9999), 0.0),), "neurons 0-383"),
        ((scale(Neuron(12, 1), 0.0),), "layers 0-7"),
        (
            (add(Direction(3, "short", VECTOR[:5]), alpha=1.0),),
            "its vector has 5 numbers, apothecary-sparse has d_model 128",
        ),
        ((add(Direction(30, "far", VECTOR), alpha=1.0),), "layers 0-7"),
        ((scale(Neuron(2, 3), 0.0), pin(Neuron(2, 3), 1.0)), "edited twice"),
        (
            tuple(ablate_direction(Direction(i, "d", VECTOR)) for i in (1, 2)),
            "two directions are ablated",
        ),
    ):
        with pytest.raises(InputError, match=line):
            made(sparse, "bad", edits).require(sparse)
