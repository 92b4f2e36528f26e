"""What the sweep benchmarks run: 96 settings of one neuron and dose on 8 refused prompts, 20 greedy tokens each."""

from functools import cache
from typing import NamedTuple

import torch

from fulcra.behaviors import load_behavior
from fulcra.engines.generic import continue_openings
from fulcra.models import Model, load
from fulcra.models.capture import stream
from fulcra.models.coordinate import Coordinate, coordinate
from fulcra.types import Edit, Neuron, Rollout, RolloutRequest

MODEL = "apothecary-sparse"
GAINS = (0.2, 0.4, 0.8, 1.2)
TOKENS = 20


class Setting(NamedTuple):
    """One edit on all prompts."""

    edit: Edit
    prompts: tuple[tuple[int, ...], ...]

    @property
    def requests(self) -> list[RolloutRequest]:
        """One request a prompt."""
        return [RolloutRequest(prompt, (self.edit,), TOKENS) for prompt in self.prompts]


@cache
def model() -> Model:
    """The bundled organism, float32."""
    return load(MODEL)


@cache
def coordinates(per_layer: int) -> tuple[Coordinate, ...]:
    """Random neurons of every layer, one pole each, in the model's own units."""
    text = continue_openings(model(), load_behavior("refusal").generic, seed=0)
    clean = stream(model(), text.prompts, text.replies)
    generator = torch.Generator().manual_seed(0)
    picked = [
        (layer, i) for layer in range(model().n_layers) for i in torch.randperm(model().d_mlp, generator=generator)[:per_layer].tolist()
    ]
    return tuple(coordinate(model(), clean, Neuron(layer, index, (-1) ** n)) for n, (layer, index) in enumerate(picked))


def settings(neurons_a_layer: int = 3, gains: tuple[float, ...] = GAINS, prompts: int = 8) -> list[Setting]:
    """Three neurons a layer at four gains on eight prompts that the undosed model refuses."""
    behavior = load_behavior("refusal")
    ids = tuple(model().prompt_ids(p.text, behavior.system) for p in (behavior.selection + behavior.confirmation)[:prompts])
    return [Setting(at.dose(gain), ids) for at in coordinates(neurons_a_layer) for gain in gains]


def requests(some: list[Setting]) -> list[RolloutRequest]:
    """The requests of all settings, in order."""
    return [request for setting in some for request in setting.requests]


def rows(rollouts: list[Rollout]) -> list[list[int]]:
    """The tokens of each rollout."""
    return [list(rollout.tokens) for rollout in rollouts]
