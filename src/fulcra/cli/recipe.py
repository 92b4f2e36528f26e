"""`fulcra recipe`, and recipes as arguments of other commands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fulcra.behaviors import behavior_sha256, built_in, evaluation_prompts, load_behavior
from fulcra.cli.app import Json, Quiet, app
from fulcra.errors import InputError
from fulcra.models import add, pin, scale
from fulcra.store import read_json
from fulcra.studies.recipe import Recipe, recipe_of_run, write_recipe
from fulcra.types import Behavior, Edit, Neuron

RecipePath = Annotated[Path, typer.Option("--recipe", "-r", help="A recipe file (fulcra recipe).")]


@app.command(
    "recipe",
    epilog=(
        "Example: fulcra recipe runs/apothecary-sparse-refusal-1 --branch L1.N83- --out"
        " lantern.json"
    ),
)
def recipe_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished audit.")],
    branch: Annotated[
        str, typer.Option(help="A neuron that the run measured, with its pole, like L1.N83-.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    gain: Annotated[
        float | None, typer.Option(help="Additive dose in budgets; default: the run's best.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Additive dose in activation units, signed.")
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option("--scale", help="Multiply the activation; 0 is the zero ablation."),
    ] = None,
    value: Annotated[
        float | None, typer.Option("--pin", help="Hold the activation at this value.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the intervention of an audited branch as a recipe, with the window that the run
    predicted for it.
    """
    recipe = recipe_of_run(
        run, branch, gain, _edit(Neuron.parse(branch), gain, alpha, factor, value)
    )
    write_recipe(out, recipe)
    if as_json:
        typer.echo(json.dumps(read_json(out)))
    elif not quiet:
        typer.echo(f"{recipe.edits[0]} of {recipe.model}, for {recipe.behavior}: {out}")


def _edit(
    neuron: Neuron,
    gain: float | None,
    alpha: float | None,
    factor: float | None,
    value: float | None,
) -> Edit | None:
    """The edit asked for; None for a dose in gains, which the run turns into activation units."""
    given = {"--gain": gain, "--alpha": alpha, "--scale": factor, "--pin": value}
    asked = [name for name, number in given.items() if number is not None]
    if len(asked) > 1:
        raise InputError(f"recipe: found {' and '.join(asked)}; give one dose")
    if alpha is not None:
        return add(neuron, alpha=alpha)
    if factor is not None:
        return scale(neuron, factor)
    return None if value is None else pin(neuron, value)


def recipe_behavior(recipe: Recipe, name: str | None, world: str | None) -> Behavior | None:
    """The recipe's behavior, to label the texts, set in `world` unless it names one; None where it
    is neither built in nor named.
    """
    asked = name or (recipe.behavior if recipe.behavior and built_in(recipe.behavior) else None)
    found = None if asked is None else load_behavior(asked, world)
    if found is not None and recipe.behavior_sha256 not in (None, behavior_sha256(found)):
        raise InputError(
            f"behavior {asked!r}: not the one that recipe {recipe.name!r} was made for"
            f" ({recipe.behavior}, {recipe.behavior_sha256:.12}); give the file it was made for"
            " with --behavior, or make the recipe anew"
        )
    return found


def recipe_sets(
    recipe: Recipe, names: Sequence[str], prompts: Sequence[str], world: str | None
) -> list[Behavior]:
    """The sets to measure a recipe on: its own behavior, the others that are named, and prompts of
    public sets or files.
    """
    named = [load_behavior(name, world) for name in dict.fromkeys(names)]
    own = next((one for one in named if behavior_sha256(one) == recipe.behavior_sha256), None)
    if own is None:
        known = recipe.behavior is not None and built_in(recipe.behavior)
        own = recipe_behavior(recipe, names[0] if names and not known else None, world)
    if own is None:
        raise InputError(
            f"recipe {recipe.name!r}: no built-in behavior ({recipe.behavior or 'it names none'});"
            " name its file with --behavior"
        )
    others = [one for one in named if behavior_sha256(one) != behavior_sha256(own)]
    return [own, *others, *(evaluation_prompts(name, own) for name in dict.fromkeys(prompts))]
