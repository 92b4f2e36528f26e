"""Which branches are measured: screened ones, a random sample, and matched random controls."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Model
from fulcra.protocol.results.summary import BranchSource
from fulcra.protocol.subject import Ground
from fulcra.screens.candidates import can_move
from fulcra.types import Branch, Direction, Neuron, Ranking


class Sizes(NamedTuple):
    """How many neurons are screened, drawn at random, and drawn as controls of each kind."""

    screened: int
    random: int
    controls: int

    def __str__(self) -> str:
        return f"{self.screened} + {self.random} random + {self.controls} controls"


@dataclass(frozen=True, slots=True)
class Draw:
    """Branches in the order they are committed; both poles of every screened and random neuron."""

    screened: tuple[Coordinate, ...]
    random: tuple[Coordinate, ...]
    controls: tuple[Coordinate, ...]

    @property
    def branches(self) -> tuple[Coordinate, ...]:
        """The branches with predictions: screened, then random."""
        return self.screened + self.random

    def source(self, index: int) -> BranchSource:
        """Where the branch at `index` of `branches` comes from."""
        return "screen" if index < len(self.screened) else "random"


def draw(
    ground: Ground, rankings: Sequence[Ranking], sizes: Sizes, seed: int, gain: float = 0.1
) -> Draw:
    """The draw of an audit, before anything is dosed; only neurons that can reach the gain.

    Random neurons are drawn uniformly from all others, for prevalence; controls are random neurons
    (one random pole) and as many random directions, in the layers of the audited neurons.
    InputError where there are fewer than asked for.
    """
    screened = list(islice(movers(ground, interleaved(rankings), gain), sizes.screened))
    rng = random.Random(f"cast-{seed}")
    others = movers(ground, _shuffled(ground.model, rng, set(screened)), gain)
    sample = list(islice(others, sizes.random))
    layers = sorted({neuron.layer for neuron in [*screened, *sample]})
    matched = list(islice((n for n in others if n.layer in layers), sizes.controls))
    _require(ground.model, sizes, Sizes(len(screened), len(sample), len(matched)))
    controls: list[Branch] = [n if rng.random() < 0.5 else n.opposite for n in matched]
    places = [layers[i % len(layers)] for i in range(sizes.controls)]
    controls += [random_direction(ground.model, place, i, seed) for i, place in enumerate(places)]
    return Draw(
        tuple(both_poles(ground, screened)),
        tuple(both_poles(ground, sample)),
        tuple(map(ground.coordinate, controls)),
    )


def check_size(model: Model, sizes: Sizes) -> None:
    """InputError when the model has fewer neurons than are asked for."""
    available = model.n_layers * model.d_mlp
    if sum(sizes) > available:
        raise InputError(f"--neurons {sizes}: {model.name} has {available} neurons; ask for fewer")


def _require(model: Model, wanted: Sizes, drawn: Sizes) -> None:
    if drawn != wanted:
        raise InputError(
            f"--neurons {wanted}: in {model.name} a dose moves the stream far enough through"
            f" {drawn} of those in reach of the screens (not through a column of norm 0, nor below"
            " a norm that caps the first gain); ask for fewer"
        )


def movers(
    ground: Ground, neurons: Iterable[Neuron], gain: float | None = None
) -> Iterator[Neuron]:
    """Those of `neurons` whose dose moves the stream, on both poles as far as `gain`."""
    for neuron in neurons:
        if not can_move(ground.model, ground.stream, neuron):
            continue
        if gain is None or ground.stream.mlp is None or _reaches(ground, neuron, gain):
            yield neuron


def _reaches(ground: Ground, neuron: Neuron, gain: float) -> bool:
    return all(place.reaches(gain) for place in both_poles(ground, [neuron]))


def both_poles(ground: Ground, neurons: Iterable[Neuron]) -> list[Coordinate]:
    """The coordinates of both poles of every neuron, positive pole as it was given first."""
    poles = (pole for neuron in neurons for pole in (neuron, neuron.opposite))
    return [ground.coordinate(pole) for pole in poles]


def alike(model: Model, neurons: Sequence[Neuron], rng: random.Random) -> list[Neuron]:
    """As many random neurons in each layer, none of `neurons`; all others where there are few."""
    taken = {neuron.site for neuron in neurons}
    drawn: list[Neuron] = []
    for layer in sorted({neuron.layer for neuron in neurons}):
        everyone = (model.neuron(layer, slot) for slot in range(model.width(layer)))
        others = [neuron for neuron in everyone if neuron.site not in taken]
        count = sum(neuron.layer == layer for neuron in neurons)
        drawn += rng.sample(others, min(count, len(others)))
    return drawn


def interleaved(rankings: Sequence[Ranking]) -> list[Neuron]:
    """The neurons of several rankings, best of each in turn, once each and without a pole."""
    turns: list[Neuron] = []
    for place in range(max(len(ranking.branches) for ranking in rankings)):
        turns += [ranking.branches[place] for ranking in rankings if place < len(ranking.branches)]
    return list(dict.fromkeys(replace(neuron, pole=1) for neuron in turns))


def _shuffled(model: Model, rng: random.Random, taken: set[Neuron]) -> Iterator[Neuron]:
    """All neurons but `taken`, in random order."""
    places = [
        (layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))
    ]
    rng.shuffle(places)
    neurons = (model.neuron(layer, slot) for layer, slot in places)
    return (neuron for neuron in neurons if neuron not in taken)


def random_direction(model: Model, layer: int, number: int, seed: int) -> Direction:
    """The random unit direction of that number, the same for a seed."""
    generator = torch.Generator().manual_seed(seed * 10_007 + number)
    vector: Tensor = torch.randn(model.d_model, generator=generator)
    return Direction(layer, f"random{number}", vector / vector.norm())
