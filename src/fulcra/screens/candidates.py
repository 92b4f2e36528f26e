"""The neurons a sweep looks at."""

from torch import Tensor

from fulcra.models import Model
from fulcra.models.capture import Stream
from fulcra.models.coordinate import budgets
from fulcra.screens.scores import gain_units
from fulcra.types import Neuron

#: Neurons a window or pin screen sweeps at most.
SWEPT = 4096


def can_move(model: Model, clean: Stream, neuron: Neuron) -> bool:
    """Whether the neuron writes at all: not where its column has norm 0, nor where its expert sees
    no generic token.
    """
    seen = (
        clean.routing is None
        or neuron.expert is None
        or float(clean.routing.share[neuron.layer, neuron.expert]) > 0
    )
    return seen and bool(model.write(neuron).norm() > 0)


def movable(model: Model, clean: Stream) -> list[Neuron]:
    """Every neuron of the model whose dose moves the stream, in order."""
    finite = budgets(model, clean).isfinite()
    return [model.neuron(layer, slot) for layer, slot in finite.nonzero().tolist()]


def sweep_candidates(model: Model, clean: Stream, gaps: Tensor) -> list[Neuron]:
    """The neurons a sweep looks at: all of a small model, else the first SWEPT by |contrast| in
    gain units.
    """
    order = (
        gain_units(model, clean, gaps)
        .abs()
        .flatten()
        .argsort(descending=True, stable=True)[:SWEPT]
        .tolist()
    )
    neurons = (
        model.neuron(i // model.d_mlp, i % model.d_mlp)
        for i in sorted(order)
        if i % model.d_mlp < model.width(i // model.d_mlp)
    )
    return [neuron for neuron in neurons if can_move(model, clean, neuron)]
