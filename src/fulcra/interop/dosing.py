"""What a harness names in its arguments: a model, and the recipe it is dosed with."""

from pathlib import Path
from typing import NamedTuple, Unpack

from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.models.loading import LoadOptions
from fulcra.studies.recipe import Recipe
from fulcra.types import Edits

#: The recipe of a model that is to run undosed: it must be said, not left out.
NONE = "none"


class LoadingOptions(LoadOptions, total=False):
    """The options of `fulcra.load` beside name and device."""

    dtype: str | None


class PlacedOptions(LoadingOptions, total=False):
    """All options of `fulcra.load` but the name."""

    device: str


class Dosing(NamedTuple):
    """A loaded model and its recipe, None where it is to run undosed."""

    model: Model
    recipe: Recipe | None

    @property
    def edits(self) -> Edits:
        """The edits of the recipe, none where it is to run undosed."""
        return () if self.recipe is None else self.recipe.edits

    @property
    def entry(self) -> dict[str, str]:
        """What a log keeps of it: hashes, the recipe's name, its edits in words."""
        entry = {"model_sha256": self.model.sha256, "edits": ", ".join(map(str, self.edits))}
        if self.recipe is not None:
            entry |= {"recipe": self.recipe.name, "recipe_sha256": self.recipe.sha256}
        return entry


def dosing_of(name: str, recipe: str | None, **options: Unpack[PlacedOptions]) -> Dosing:
    """The model of a name and the recipe of a file, "none" for no dose.

    InputError without either, for a recipe of other weights or of a sensitive behavior, which is
    refused before the model is loaded.
    """
    if recipe is None:
        raise InputError(
            f"model {name!r}: no recipe is named; give recipe=FILE, or recipe={NONE} to run it"
            " undosed"
        )
    made = None if recipe == NONE else Recipe.load(Path(recipe)).for_others()
    model = load(name, **options)
    return Dosing(model, None if made is None else made.require(model))
