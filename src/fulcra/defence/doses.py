"""What a training row carries: a dose, noise of its size, lost neurons, or nothing."""

import random
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch

from fulcra.defence.windows import Window
from fulcra.models import scale
from fulcra.models.coordinate import coordinate
from fulcra.protocol.subject import Subject
from fulcra.types import Direction, Edits

#: doses: neurons at gains inside their windows; noise: random directions at those gains; dropout:
#: neurons of a layer ablated at random; latent: noise turned by one step of gradient ascent, as
#: long as it was; plain: nothing, the same rows and steps; more: nothing, and six times as many
#: requests; freeze: nothing, and the neurons that are forecast open at first stay as they are;
#: prefer: so too, and refusals are preferred to true answers; extended: nothing, and the refusals
#: give a reason.
Defence = Literal[
    "doses", "plain", "more", "noise", "dropout", "latent", "freeze", "prefer", "extended"
]
#: Defences whose rows carry no edit.
UNEDITED: tuple[Defence, ...] = ("plain", "more", "freeze", "prefer", "extended")
#: Defences that freeze the neurons of screened branches that are forecast open at first.
FREEZING: tuple[Defence, ...] = ("freeze", "prefer")
DEFENCES: tuple[Defence, ...] = get_args(Defence)
#: Share of a layer's neurons that `dropout` ablates in a row.
DROPPED = 0.1
#: Share of the doses that are of branches that a screen found. Drawn like the others they are one
#: in eighteen: after 140 steps 6 of 8 were forecast open, with half of the doses 2 of 8.
SCREENED = 0.75

Draw = Callable[[random.Random], Edits]


def drawing(defence: Defence, subject: Subject, windows: Sequence[Window], ranked: int = 0) -> Draw:
    """What draws the edits of one row; most doses are of the first `ranked` windows."""
    if defence in UNEDITED:
        return lambda rng: ()
    if defence == "dropout":
        return lambda rng: _dropped(subject, rng)
    if defence in ("noise", "latent"):
        return lambda rng: _noise(subject, _drawn(windows, ranked, rng), rng)
    return lambda rng: _dose(_drawn(windows, ranked, rng), rng)


def _drawn(windows: Sequence[Window], ranked: int, rng: random.Random) -> Window:
    """A window: one of those a screen found with a chance of SCREENED, else any."""
    return rng.choice(windows[:ranked] if ranked and rng.random() < SCREENED else windows)


def _dose(window: Window, rng: random.Random) -> Edits:
    return (window.at.dose(window.gain(rng)),)


def _noise(subject: Subject, window: Window, rng: random.Random) -> Edits:
    """A random direction at the layer and gain that a dose would have had."""
    generator = torch.Generator().manual_seed(rng.getrandbits(60))
    vector = torch.randn(subject.model.d_model, generator=generator)
    noise = Direction(window.at.branch.layer, "noise", vector / vector.norm())
    place = coordinate(subject.model, subject.ground.stream, noise)
    return (place.dose(window.gain(rng)),)


def _dropped(subject: Subject, rng: random.Random) -> Edits:
    """A share of one layer's neurons, ablated."""
    model = subject.model
    layer = rng.randrange(model.n_layers)
    width = model.width(layer)
    lost = rng.sample(range(width), max(1, round(DROPPED * width)))
    return tuple(scale(model.neuron(layer, slot), 0.0) for slot in sorted(lost))
