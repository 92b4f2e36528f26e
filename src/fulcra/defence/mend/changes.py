"""Changes of one neuron's write, each of rank 1: away, its mean put back, or spread by others.

All three replace what the neuron adds, a_j w_j, by (c . a) w_j: the weight changes by
w_j (c - e_j)^T. Zero has c = 0; mean a c for which c . a is about the neuron's mean activation;
spread one for which it is about a_j. c is a ridge regression on the other neurons of the layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulcra.defence.mend.mended import How
from fulcra.defence.rows import Row
from fulcra.models import Model
from fulcra.models.lora import Factors
from fulcra.models.neuron_rows import layer_rows
from fulcra.types import Neuron

#: Every text of that place is held out of a regression.
HELD_OUT = 4
#: Penalties of the ridge, in parts of the mean square of an activation a position: from a small
#: change that explains little to a large one that explains most.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
#: Positions of a regression at most.
MOST = 12000


@dataclass(frozen=True, slots=True)
class Change:
    """What is added to weights, by module; `fit` says how well a regression explains held-out text.

    `norm` is the Frobenius norm of all of it over that of the layer's down projection.
    """

    how: How
    factors: Mapping[str, Factors]
    norm: float
    fit: "Fit | None" = None


class Fit(NamedTuple):
    """A regression: held-out R^2 for spread, held-out error over the mean itself for mean.

    `positions` it was fitted on, `held_out` others; `weight` is |c|, `penalty` that of the ridge.
    """

    r2: float | None
    error: float | None
    positions: int
    held_out: int
    weight: float
    penalty: float


class Activations(NamedTuple):
    """Activations of one layer at every position of some texts, [pos, neuron], in two parts."""

    fitted: Tensor
    held_out: Tensor


def activations_of(model: Model, layer: int, rows: Sequence[Row]) -> Activations:
    """A layer's activations on texts, every fourth text held out."""
    texts = [row.prompt + row.reply for row in rows]
    held = texts[HELD_OUT - 1 :: HELD_OUT]
    rest = [text for place, text in enumerate(texts) if place % HELD_OUT != HELD_OUT - 1]
    return Activations(*(_thinned(layer_rows(model, layer, part)) for part in (rest, held)))


def _thinned(activations: Tensor) -> Tensor:
    """At most as many positions as a regression takes, evenly over the texts."""
    stride = -(-len(activations) // MOST)
    return activations[:: max(1, stride)]


def zero(model: Model, neuron: Neuron) -> Change:
    """The neuron's write taken out, exactly."""
    return _written(model, neuron, "zero", torch.zeros(model.width(neuron.layer)))


def mean(model: Model, neuron: Neuron, activity: Activations, value: float) -> Change:
    """The neuron's write taken out, and `value` times it put back by what is constant in others."""
    constant = [np.full(len(part), value) for part in activity]
    c = _ridge(activity.fitted, constant[0], neuron.index, PENALTIES[-1])
    error = _error(activity.held_out, constant[1], c) / max(abs(value), 1e-12)
    fit = Fit(
        None, error, len(activity.fitted), len(activity.held_out), float(c.norm()), PENALTIES[-1]
    )
    return _written(model, neuron, "mean", c, fit)


def spreads(model: Model, neuron: Neuron, activity: Activations) -> Iterator[Change]:
    """The neuron's write taken out, and what it wrote foretold from the others of its layer.

    One change a penalty, the smallest first.
    """
    counts = (len(activity.fitted), len(activity.held_out))
    target, held = (part[:, neuron.index].double().numpy() for part in activity)
    for penalty in PENALTIES:
        c = _ridge(activity.fitted, target, neuron.index, penalty)
        rest = _error(activity.held_out, held, c) ** 2
        r2 = 1 - rest / max(float(held.var()), 1e-24)
        fit = Fit(r2, None, *counts, float(c.norm()), penalty)
        yield _written(model, neuron, "spread", c, fit)


def _error(activations: Tensor, target: NDArray[np.float64], c: Tensor) -> float:
    """The root mean square of what c does not explain."""
    rest = activations.double().numpy() @ c.double().numpy() - target
    return float(np.sqrt(np.mean(rest**2)))


def _ridge(activations: Tensor, target: NDArray[np.float64], own: int, penalty: float) -> Tensor:
    """Weights c [neuron] with c . a about the target, 0 at the neuron's own place.

    Without an intercept, which no layer without a bias could hold.
    """
    from sklearn.linear_model import Ridge

    features = activations.double().numpy().copy()
    features[:, own] = 0.0
    size = max(float(np.sum(features**2)) / features.shape[1], 1e-12)
    ridge = Ridge(alpha=penalty * size, fit_intercept=False)
    c = torch.from_numpy(ridge.fit(features, target).coef_).float()
    c[own] = 0.0
    return c


def _written(model: Model, neuron: Neuron, how: How, c: Tensor, fit: Fit | None = None) -> Change:
    """The change w_j (c - e_j)^T of the layer's down projection."""
    read = c.clone()
    read[neuron.index] = -1.0
    factors = {model.place(neuron.layer): Factors(model.write(neuron).cpu(), read)}
    return Change(how, factors, relative_norm(model, neuron.layer, factors), fit)


def relative_norm(model: Model, layer: int, factors: Mapping[str, Factors]) -> float:
    """The Frobenius norm of a change over that of the layer's down projection."""
    whole: float = sum(each.norm**2 for each in factors.values()) ** 0.5
    down = float(model.writes(layer).norm())
    return whole / down
