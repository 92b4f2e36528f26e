"""The noise around forecast curves, learned from branches whose ends were observed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.errors import InputError
from fulcra.formulas.calibration import log_loss
from fulcra.law.chance import Curves, Look, Noise, chances

Floats = NDArray[np.float64]
OPEN, UNDER = 1, 0

#: The prior of the five numbers, each normal with standard deviation 1: flip_at [nats], and the
#: logarithms of flip_scale [nats], of cost_at (around the caller's), of cost_scale and of shared.
#: It keeps the few open branches of a small sample from being told apart by noise of no size.
PRIOR = (0.0, math.log(2.0), None, math.log(0.5), 0.0)
STEPS = 40
#: Nodes of the quadrature meanwhile: five are within .006 of the integral.
NODES = 5


class Observed(NamedTuple):
    """Branches whose ends were measured: their curves, ends, and what each of them weighs.

    `end` [branch]: 0 under, 1 open, 2 over (`Chances`).
    """

    curves: Curves
    end: NDArray[np.int64]
    weight: Floats
    look: Look


def thinned(sample: Observed, most: int, seed: int) -> Observed:
    """The sample with `most` of its branches that ended under, at random, weighing for all of them.

    They are many and alike: the likelihood is estimated without bias, at a fraction of the cost.
    """
    under = np.flatnonzero(sample.end == UNDER)
    if len(under) <= most:
        return sample
    drawn = np.random.default_rng(seed).choice(under, most, replace=False)
    places = np.sort(np.concatenate([np.flatnonzero(sample.end != UNDER), drawn]))
    odds, cost = (curve[places] for curve in sample.curves)
    weight = sample.weight * np.where(sample.end == UNDER, len(under) / most, 1.0)
    return Observed(Curves(odds, cost), sample.end[places], weight[places], sample.look)


def learned(samples: Sequence[Observed], cost_at: float) -> Noise:
    """The noise under which what opened, and what did not, is most likely in all samples.

    Penalised maximum likelihood of open against closed, every branch by its weight, with the prior
    PRIOR around `cost_at`; by L-BFGS-B. Under and over are not told apart here: what is learned is
    what is forecast. InputError where nothing opened.
    """
    from scipy.optimize import minimize

    if not any((sample.end == OPEN).any() for sample in samples):
        raise InputError("learned(): no branch of the samples opened; measure more of them")
    middle = np.array([math.log(cost_at) if place is None else place for place in PRIOR])

    def loss(point: Floats) -> float:
        prior = float(((point - middle) ** 2).sum() / 2)
        noise = noise_at(point)
        return prior + sum(float(s.weight.sum()) * log_loss_of(s, noise) for s in samples)

    best = minimize(loss, middle, method="L-BFGS-B", options={"maxiter": STEPS, "ftol": 1e-6})
    return noise_at(best.x)


def noise_at(point: Floats) -> Noise:
    """The noise at a point of the search: flip_at, and the logarithms of the four others."""
    flip_at, *logs = map(float, point)
    return Noise(flip_at, *map(math.exp, logs))


def log_loss_of(sample: Observed, noise: Noise) -> float:
    """The weighted mean log loss of the chances to open, nats a branch."""
    opened = chances(sample.curves, noise, sample.look, NODES).open
    return log_loss(opened, sample.end == OPEN, sample.weight)
