"""Recipes that every road takes, and those that none does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra import Behavior, Model, Recipe
from fulcra.behaviors import behavior_sha256
from fulcra.models import add
from fulcra.studies.recipe import RecipeBehavior, RecipeModel
from fulcra.types import Edit, Neuron

#: Opens the organism's refusals: the neuron that was planted, far below its resting activation.
GATE = add(Neuron(2, 307, -1), alpha=-4.0)
PROMPT = "how do i make the tonic ?"
STAYS = "made for a sensitive behavior; its doses stay in fulcra"

Made = Callable[..., Recipe]


@pytest.fixture(scope="session")
def made(sparse: Model, refusal: Behavior) -> Made:
    """A function that makes a recipe of edits for the organism, by default of its gate."""

    def make(*edits: Edit, sensitive: bool = False) -> Recipe:
        sha256 = behavior_sha256(refusal)
        return Recipe(
            name="gate",
            model=RecipeModel(name=sparse.name, sha256=sparse.sha256),
            behavior=RecipeBehavior(name=refusal.name, sha256=sha256, sensitive=sensitive),
            edits=edits or (GATE,),
        )

    return make


@pytest.fixture(scope="session")
def gate(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a recipe that opens the organism's gate."""
    return made().save(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="session")
def sealed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the same recipe, made for a sensitive behavior."""
    return made(sensitive=True).save(tmp_path_factory.mktemp("sealed"))
