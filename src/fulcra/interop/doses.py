"""A recipe's edits as functions on another library's activations, by hook name."""

from collections import defaultdict
from collections.abc import Callable

from torch import Tensor

from fulcra.errors import InputError
from fulcra.interop.sites import Naming, lens_site
from fulcra.models import Model
from fulcra.studies.recipe import Recipe
from fulcra.types import Edit, Neuron

#: Takes activations [..., d_mlp] and gives the edited ones; `hook` is TransformerLens' own.
Dose = Callable[..., Tensor]


def doses_of(model: Model, recipe: Recipe, naming: Naming = lens_site) -> list[tuple[str, Dose]]:
    """The recipe as (hook name, function) pairs, TransformerLens' `fwd_hooks`.

    Of single neurons added to, scaled or pinned at all positions. InputError with the reason for
    any other edit, a recipe of other weights, or one of a sensitive behavior.
    """
    edits = recipe.for_others().require(model).edits
    groups: dict[str, list[tuple[int, Edit]]] = defaultdict(list)
    for edit in edits:
        site = naming(_neuron(edit))
        groups[site.hook].append((site.column, edit))
    return [(hook, _dose(group)) for hook, group in groups.items()]


def _dose(edits: list[tuple[int, Edit]]) -> Dose:
    def dosed(values: Tensor, hook: object = None) -> Tensor:
        values = values.clone()
        for column, edit in edits:
            if edit.op == "add":
                values[..., column] += edit.value
            elif edit.op == "scale":
                values[..., column] *= edit.value
            else:
                values[..., column] = edit.value
        return values

    return dosed


def _neuron(edit: Edit) -> Neuron:
    """The neuron that an edit acts on; InputError where one function cannot be the edit."""
    if not isinstance(edit.site, Neuron) or edit.op == "anchor":
        raise InputError(
            f"{edit}: no function of one activation does this; give an edit that adds to, scales or"
            " pins a neuron"
        )
    if edit.positions != "all":
        raise InputError(
            f"{edit}: made for positions {edit.positions!r}, which a hook there does not tell"
            " apart; make the recipe for positions 'all'"
        )
    return edit.site
