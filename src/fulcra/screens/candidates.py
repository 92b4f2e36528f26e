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
    """Whether a dose of the neuron moves the stream.

    False where its column has norm 0, and where its expert sees no generic token.
    """
    routed = (
        clean.routing is None
        or neuron.expert is None
        or float(clean.routing.share[neuron.layer, neuron.expert]) > 0
    )
    return routed and bool(model.write(neuron).norm() > 0)


def movable(model: Model, clean: Stream) -> list[Neuron]:
    """Every neuron of the model whose dose moves the stream, in order."""
    finite = budgets(model, clean).isfinite()
    return [model.neuron(layer, slot) for layer, slot in finite.nonzero().tolist()]


def sweep_candidates(model: Model, clean: Stream, gaps: Tensor, most: int = SWEPT) -> list[Neuron]:
    """The neurons a sweep looks at: all of a small model, else the `most` of largest |contrast|.

    The contrast `gaps` [layer, d_mlp] counts in gain units; the neurons come in the model's order.
    """
    contrast = gain_units(model, clean, gaps).abs().flatten()
    order = contrast.argsort(descending=True, stable=True)[:most].tolist()
    neurons = []
    for place in sorted(order):
        layer, slot = divmod(place, model.d_mlp)
        if slot < model.width(layer):
            neurons.append(model.neuron(layer, slot))
    return [neuron for neuron in neurons if can_move(model, clean, neuron)]
