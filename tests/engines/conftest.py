"""A bundled organism, prompts from its world, and mixed requests for every engine test."""

import random

import pytest
import torch

from fulcra.models import Model, ablate_direction, add, add_mlp, anchor, load, pin, scale
from fulcra.organisms.grammar import draw, question
from fulcra.organisms.world import build_world
from fulcra.types import Direction, Edits, Neuron, RolloutRequest, Sampling


@pytest.fixture(scope="session")
def model() -> Model:
    """The bundled organism whose refusal is planted in few neurons."""
    return load("apothecary-sparse")


@pytest.fixture(scope="session")
def prompts(model: Model) -> list[tuple[int, ...]]:
    """Six questions of unequal length."""
    rng = random.Random(0)
    tasks = ("recipe", "capital", "sum", "list", "recipe", "topic")
    return [
        model.prompt_ids(question(build_world(), draw(build_world(), rng, task, "en")))
        for task in tasks
    ]  # type: ignore[arg-type]


def edits_of(model: Model) -> list[Edits]:
    """No edit, and every kind: one neuron a layer, several at once, directions and anchors."""
    generator = torch.Generator().manual_seed(1)
    vector = torch.randn(model.d_model, generator=generator)
    doses = [
        (add(Neuron(layer, 40 + layer), alpha=6.0 + 4 * layer),) for layer in range(model.n_layers)
    ]
    several = (add(Neuron(5, 3), alpha=9.0), scale(Neuron(2, 7), -1.0), pin(Neuron(5, 4), 5.0))
    phases = [
        (add(Neuron(3, 9), alpha=20.0, positions=where),)
        for where in ("prompt", "generated", "last")
    ]
    vectors = [
        (add(Direction(4, "v", vector), alpha=2.0),),
        (ablate_direction(Direction(6, "w", vector)),),
    ]
    everywhere = tuple(
        add_mlp(Direction(layer, "u", vector), 0.2) for layer in range(model.n_layers)
    )
    anchors = [(anchor(Neuron(2, 307), bound, 0.3),) for bound in (-4.0, 4.0)]
    return [(), *doses, several, *phases, *vectors, everywhere, *anchors]


@pytest.fixture(scope="session")
def requests(model: Model, prompts: list[tuple[int, ...]]) -> list[RolloutRequest]:
    """Every edit on four prompts, two horizons."""
    return [
        RolloutRequest(prompt, edits, 6 + 6 * (i % 2))
        for edits in edits_of(model)
        for i, prompt in enumerate(prompts[:4])
    ]


@pytest.fixture(scope="session")
def sampled(requests: list[RolloutRequest]) -> list[RolloutRequest]:
    """The same requests drawn at temperature .8, every third greedy."""
    return [
        r if i % 3 == 0 else RolloutRequest(r.prompt, r.edits, r.horizon, Sampling(0.8, i % 5))
        for i, r in enumerate(requests)
    ]
