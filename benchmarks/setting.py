"""What the benchmarks run on: the bundled organism, its coordinates, a sweep's settings."""

from functools import cache
from typing import NamedTuple

import torch

from fulcra.behaviors import load_behavior
from fulcra.engines.generic import continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Model, load
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Edit, Neuron, Rollout, RolloutRequest

MODEL = "apothecary-sparse"
GAINS = (0.2, 0.4, 0.8, 1.2)
TOKENS = 20


class Size(NamedTuple):
    """How much work a row is."""

    neurons_a_layer: int = 3
    prompts: int = 8
    ladder_neurons: int = 256
    capture_prompts: int = 400
    generate_prompts: int = 32
    ceilings: int | None = None


#: Enough to see that every row runs and says the same as its peer.
SMALL = Size(
    neurons_a_layer=1,
    prompts=2,
    ladder_neurons=8,
    capture_prompts=16,
    generate_prompts=4,
    ceilings=8,
)
#: Where the models run; `run.py --device` sets it before the first one is loaded.
device = torch.device("cpu")


class Setting(NamedTuple):
    """One edit on all prompts."""

    edit: Edit
    prompts: tuple[tuple[int, ...], ...]

    @property
    def requests(self) -> list[RolloutRequest]:
        """One rollout of the edit on each prompt."""
        return [RolloutRequest(prompt, (self.edit,), TOKENS) for prompt in self.prompts]


@cache
def model() -> Model:
    """The bundled organism in float32, loaded once."""
    return load(MODEL, "float32", str(device))


@cache
def coordinates(per_layer: int) -> tuple[Coordinate, ...]:
    """Random neurons of every layer, one pole each, in the model's own units."""
    text = continue_openings(model(), load_behavior("refusal").generic, seed=0)
    clean = stream(model(), text.prompts, text.replies)
    generator = torch.Generator().manual_seed(0)
    picked = [
        (layer, i)
        for layer in range(model().n_layers)
        for i in torch.randperm(model().d_mlp, generator=generator)[:per_layer].tolist()
    ]
    return tuple(
        coordinate(model(), clean, Neuron(layer, index, (-1) ** n))
        for n, (layer, index) in enumerate(picked)
    )


def settings(size: Size) -> list[Setting]:
    """Some neurons of every layer at four gains on prompts that the undosed model refuses."""
    ids = refused(size.prompts)
    return [
        Setting(place.dose(gain), ids)
        for place in coordinates(size.neurons_a_layer)
        for gain in GAINS
    ]


def refused(count: int) -> tuple[tuple[int, ...], ...]:
    """Prompts that the undosed model refuses."""
    behavior = load_behavior("refusal")
    prompts = behavior.selection + behavior.confirmation
    return tuple(
        model().prompt_ids(prompts[i % len(prompts)].text, behavior.system) for i in range(count)
    )


def requests(chosen: list[Setting]) -> list[RolloutRequest]:
    """The requests of all settings, in order."""
    return [request for setting in chosen for request in setting.requests]


def rows(rollouts: list[Rollout]) -> list[list[int]]:
    """The tokens of each rollout."""
    return [list(rollout.tokens) for rollout in rollouts]
