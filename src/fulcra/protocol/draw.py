"""Who is measured in an audit: screened neurons, a random sample for prevalence, matched random
controls.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.capture import Stream
from fulcra.models.coordinate import Coordinate, coordinate
from fulcra.screens.candidates import can_move
from fulcra.types import Branch, Direction, Neuron, Ranking


@dataclass(frozen=True, slots=True)
class Cast:
    """Branches in the order they are committed; both poles of every screened and random neuron."""

    screened: tuple[Coordinate, ...]
    random: tuple[Coordinate, ...]
    controls: tuple[Coordinate, ...]

    @property
    def branches(self) -> tuple[Coordinate, ...]:
        """The branches with predictions: screened, then random."""
        return self.screened + self.random

    def source(self, index: int) -> str:
        """Where the branch at `index` of `branches` comes from."""
        return "screen" if index < len(self.screened) else "random"


def _poles(model: Model, clean: Stream, neurons: list[Neuron]) -> tuple[Coordinate, ...]:
    return tuple(
        coordinate(model, clean, pole) for neuron in neurons for pole in (neuron, neuron.opposite)
    )


def _moving(model: Model, clean: Stream, neuron: Neuron, gain: float) -> bool:
    """Whether a dose on the neuron moves the stream, as far as the first rung on both poles where a
    norm caps it.
    """
    return can_move(model, clean, neuron) and _reaches(model, clean, neuron, gain)


def _reaches(model: Model, clean: Stream, neuron: Neuron, gain: float) -> bool:
    return clean.mlp is None or all(
        coordinate(model, clean, pole).reaches(gain) for pole in (neuron, neuron.opposite)
    )


def interleaved(rankings: Sequence[Ranking]) -> list[Neuron]:
    """The neurons of several rankings, best of each in turn, every neuron once and without its
    pole.
    """
    longest = max(len(ranking.branches) for ranking in rankings)
    turns = (
        ranking.branches[place]
        for place in range(longest)
        for ranking in rankings
        if place < len(ranking.branches)
    )
    return list(dict.fromkeys(replace(neuron, pole=1) for neuron in turns))


def check_size(model: Model, screened: int, sampled: int, controls: int) -> None:
    """InputError when the model has fewer neurons than are asked for."""
    available = model.n_layers * model.d_mlp
    if screened + sampled + controls > available:
        asked = f"--neurons {screened} + {sampled} random + {controls} controls"
        raise InputError(f"{asked}: {model.name} has {available} neurons; ask for fewer")


def _require(model: Model, asked: tuple[int, int, int], found: tuple[int, int, int]) -> None:
    if found != asked:
        wanted, there = (
            f"{first} + {drawn} random + {controls} controls"
            for first, drawn, controls in (asked, found)
        )
        raise InputError(
            f"--neurons {wanted}: in {model.name} a dose moves the stream far enough through"
            f" {there} of those in reach of the screens (not through a column of norm 0, nor below"
            " a norm that caps the first gain); ask for fewer"
        )


def choose(
    model: Model,
    clean: Stream,
    rankings: Sequence[Ranking],
    screened: int,
    sampled: int,
    controls: int,
    seed: int,
    gain: float = 0.1,
) -> Cast:
    """The cast of an audit, decided before anything is dosed; only neurons whose dose can reach the
    first rung, `gain`.

    Random neurons are drawn uniformly from all others, for prevalence; controls are random neurons
    (one random pole) and as many random directions, in the layers of the audited neurons.
    InputError where there are fewer than asked for.
    """
    first = list(
        islice(
            (neuron for neuron in interleaved(rankings) if _moving(model, clean, neuron, gain)),
            screened,
        )
    )
    taken = set(first)
    rng = random.Random(f"cast-{seed}")
    everyone = [
        (layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))
    ]
    rng.shuffle(everyone)
    others = (
        neuron for layer, slot in everyone if (neuron := model.neuron(layer, slot)) not in taken
    )
    movers = (neuron for neuron in others if _moving(model, clean, neuron, gain))
    drawn = list(islice(movers, sampled))
    layers = sorted({neuron.layer for neuron in [*first, *drawn]})
    matched = list(islice((neuron for neuron in movers if neuron.layer in layers), controls))
    _require(model, (screened, sampled, controls), (len(first), len(drawn), len(matched)))
    signed: list[Branch] = [neuron if rng.random() < 0.5 else neuron.opposite for neuron in matched]
    directions = [
        random_direction(model, layers[i % len(layers)], i, seed) for i in range(controls)
    ]
    return Cast(
        _poles(model, clean, first),
        _poles(model, clean, drawn),
        tuple(coordinate(model, clean, site) for site in [*signed, *directions]),
    )


def random_direction(model: Model, layer: int, number: int, seed: int) -> Direction:
    """The random unit direction of that number, the same for a seed."""
    vector: Tensor = torch.randn(
        model.d_model, generator=torch.Generator().manual_seed(seed * 10_007 + number)
    )
    return Direction(layer, f"random{number}", vector / vector.norm())
