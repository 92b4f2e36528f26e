"""`fulcra recipe`, and recipes as arguments of other commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulcra.cli.app import Json, Quiet, branch_of, command, emit_json, writable
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.studies.recipe import Recipe
    from fulcra.types import Behavior, Edit, Neuron

RecipePath = Annotated[
    Path,
    typer.Option("--recipe", "-r", metavar="RECIPE", help="A recipe, by its file or folder."),
]


@command(
    "recipe",
    "Use it",
    "recipe runs/apothecary-sparse-refusal-1 --branch L1.N83- --out runs/lantern",
)
def recipe_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished audit.")],
    branch: Annotated[
        str,
        typer.Option(
            metavar="NEURON", help="A neuron that the run measured, with its pole, like L1.N83-."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", file_okay=False, help="Folder for the recipe, as recipe.json."),
    ] = Path(),
    gain: Annotated[
        float | None,
        typer.Option(metavar="X", help="Additive dose in budgets; default: the run's best."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(metavar="X", help="Additive dose in activation units, signed.")
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option(
            "--scale", metavar="X", help="Multiply the activation; 0 is the zero ablation."
        ),
    ] = None,
    value: Annotated[
        float | None, typer.Option("--pin", metavar="X", help="Hold the activation at this value.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write an audited branch's edit as a file, with its window."""
    from fulcra.studies.recipe import recipe_of_run

    neuron, folder = branch_of(branch), writable(out)
    made = recipe_of_run(run, branch, gain, _edit(neuron, gain, alpha, factor, value))
    path = made.save(folder)
    if as_json:
        emit_json(**made.plain())
    elif not quiet:
        target = made.behavior.name if made.behavior else None
        typer.echo(f"{made.edits[0]} of {made.model.name}, for {target}: {path}")


def _edit(
    neuron: "Neuron",
    gain: float | None,
    alpha: float | None,
    factor: float | None,
    value: float | None,
) -> "Edit | None":
    """The edit of the one dose named; None for gains, which the run turns into activations."""
    from fulcra.models import add, pin, scale

    doses = {"--gain": gain, "--alpha": alpha, "--scale": factor, "--pin": value}
    named = [name for name, number in doses.items() if number is not None]
    if len(named) > 1:
        raise InputError(f"recipe: found {' and '.join(named)}; give one dose")
    if alpha is not None:
        return add(neuron, alpha=alpha)
    if factor is not None:
        return scale(neuron, factor)
    return None if value is None else pin(neuron, value)


def recipe_behavior(recipe: "Recipe", name: str | None, world: str | None) -> "Behavior | None":
    """The recipe's behavior, to label the texts, set in `world` unless it names one.

    None where it is neither built in nor named.
    """
    from fulcra.behaviors import built_in, load_behavior

    made_for = recipe.behavior
    if name is None and made_for is not None and built_in(made_for.name):
        name = made_for.name
    if name is None:
        return None
    whole = load_behavior(name, world)
    behavior = whole if made_for is None else made_for.taken_from(whole)
    if made_for is not None and behavior is None:
        raise InputError(
            f"behavior {name!r}: not the one that recipe {recipe.name!r} was made for"
            f" ({made_for.name}, {made_for.sha256:.12}); give the file it was made for with"
            " --behavior, or make the recipe anew"
        )
    return behavior


def recipe_sets(
    recipe: "Recipe", names: Sequence[str], prompts: Sequence[str], world: str | None
) -> "list[Behavior]":
    """The sets to measure a recipe on: its own behavior, others that are named, further prompts.

    `prompts` are of public sets or files.
    """
    from fulcra.behaviors import behavior_sha256, evaluation_prompts, load_behavior

    named = [load_behavior(name, world) for name in dict.fromkeys(names)]
    own = _own_behavior(recipe, named) or recipe_behavior(recipe, _unknown(recipe, names), world)
    if own is None:
        made_for = recipe.behavior.name if recipe.behavior else "it names none"
        raise InputError(
            f"recipe {recipe.name!r}: no built-in behavior ({made_for}); name its file with"
            " --behavior"
        )
    others = [
        each
        for each in named
        if behavior_sha256(each) != behavior_sha256(own) and not _own_behavior(recipe, [each])
    ]
    return [own, *others, *(evaluation_prompts(name, own) for name in dict.fromkeys(prompts))]


def _own_behavior(recipe: "Recipe", named: "Sequence[Behavior]") -> "Behavior | None":
    """Of the behaviors named the one that the recipe was made for."""
    if recipe.behavior is None:
        return None
    taken = map(recipe.behavior.taken_from, named)
    return next((behavior for behavior in taken if behavior is not None), None)


def _unknown(recipe: "Recipe", names: Sequence[str]) -> str | None:
    """The first name, where the recipe's own behavior is not built in and must be among them."""
    from fulcra.behaviors import built_in

    if not names or (recipe.behavior is not None and built_in(recipe.behavior.name)):
        return None
    return names[0]
