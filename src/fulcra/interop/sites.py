"""Where a neuron stands in another library: TransformerLens 4 and nnsight 0.8, and back."""

import re
from collections.abc import Callable
from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Neuron

_LENS = re.compile(r"blocks\.(\d{1,9})\.mlp\.hook_post", re.ASCII)


class Site(NamedTuple):
    """The hook of an activation [..., d_mlp] in another library, and a neuron's column in it."""

    hook: str
    column: int


#: How one library calls a neuron.
Naming = Callable[[Neuron], Site]


def lens_site(neuron: Neuron) -> Site:
    """The neuron in TransformerLens: `blocks.14.mlp.hook_post`, 2207.

    InputError for a neuron of an expert.
    """
    _require_dense(neuron)
    return Site(f"blocks.{neuron.layer}.mlp.hook_post", neuron.index)


def lens_neuron(hook: str, column: int, pole: int = 1) -> Neuron:
    """The neuron at a TransformerLens hook; InputError where the hook holds no neurons."""
    match = _LENS.fullmatch(hook)
    if match is None:
        raise InputError(
            f"hook {hook[:80]!r}: holds no neurons; expected a name like blocks.14.mlp.hook_post"
        )
    return Neuron(int(match[1]), column, pole)


def nnsight_site(model: Model, neuron: Neuron) -> Site:
    """The neuron in nnsight, for `LanguageModel(model.hf, ...)`, with the names of its family.

    `model.layers.14.mlp.down_proj.input`, 2207 in a Llama. InputError for a neuron of an expert or
    one that the model lacks.
    """
    _require_dense(neuron)
    model.require(neuron)
    return Site(f"{model.place(neuron.layer)}.input", neuron.index)


def nnsight_neuron(model: Model, hook: str, column: int, pole: int = 1) -> Neuron:
    """The neuron at an nnsight name; InputError where the model has none there."""
    layers = {f"{model.place(layer)}.input": layer for layer in range(model.n_layers)}
    if hook not in layers or model.experts(layers[hook]) is not None:
        raise InputError(
            f"hook {hook[:80]!r}: {model.name} has no neurons there; expected a name like"
            f" {next(iter(layers))}"
        )
    neuron = Neuron(layers[hook], column, pole)
    model.require(neuron)
    return neuron


def _require_dense(neuron: Neuron) -> None:
    if neuron.expert is not None:
        raise InputError(
            f"neuron {neuron}: the neurons of experts have no activation of their own there; read"
            " them in fulcra"
        )
