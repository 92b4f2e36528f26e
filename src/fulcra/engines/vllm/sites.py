"""Where edits act in a model of vLLM that it compiles: an operator beside each module's call.

The hooks are traced with the model, so that the graph holds the operators and no hook runs again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fulcra.engines.vllm.edit_op import VECTORS, Memory, NeuronSite, VectorSite, beside
from fulcra.engines.vllm.plan import Geometry, Place

#: Tokens of a text that its edits meet alike: a prompt but its end, its end, a reply.
STAGES = 3


class Capacity(NamedTuple):
    """The longest pass of a worker [tokens], and how many rows it may have."""

    tokens: int
    rows: int


class Sites(NamedTuple):
    """All sites of a model by where they act, and the memory that they share."""

    memory: Memory
    neurons: dict[Place, NeuronSite]
    vectors: dict[Place, VectorSite]

    def acted(self, place: Place) -> Tensor:
        """The counts of a place, [slot]."""
        return (self.neurons.get(place) or self.vectors[place]).acted


def spliced(model: nn.Module, geometry: Geometry, capacity: Capacity) -> Sites:
    """The sites of a model, whose modules call them from now on."""
    weight, slots = next(model.parameters()), 1 + STAGES * capacity.rows
    rows = 1 + STAGES * VECTORS * capacity.rows
    memory = Memory(
        torch.zeros(capacity.tokens, dtype=torch.long, device=weight.device),
        torch.zeros(rows, geometry["d_model"], dtype=weight.dtype, device=weight.device),
    )
    sites, taken = Sites(memory, {}, {}), VectorSite(memory, slots)
    sites.vectors["ablate", 0] = taken
    names = zip(geometry["downs"], geometry["blocks"], geometry["readers"], strict=True)
    for layer, (down, block, reader) in enumerate(names):
        neurons = sites.neurons["neuron", layer] = NeuronSite(memory, slots)
        wrote = sites.vectors["mlp", layer] = VectorSite(memory, slots)
        left = sites.vectors["block", layer] = VectorSite(memory, slots)
        _around_down(model.get_submodule(down), neurons, wrote)
        _after_block(model.get_submodule(block), left, taken)
        _before_reader(model.get_submodule(reader), taken)
    _before_reader(model.get_submodule(geometry["blocks"][0]), taken)
    return sites


def _around_down(down: nn.Module, neurons: NeuronSite, wrote: VectorSite) -> None:
    beside(down, "neurons", neurons)
    beside(down, "wrote", wrote)
    down.register_forward_pre_hook(_edit)
    down.register_forward_hook(_add_to_mlp)


def _after_block(block: nn.Module, left: VectorSite, taken: VectorSite) -> None:
    beside(block, "left", left)
    beside(block, "taken", taken)
    block.register_forward_hook(_add_and_take)


def _before_reader(reader: nn.Module, taken: VectorSite) -> None:
    beside(reader, "taken", taken)
    reader.register_forward_pre_hook(_take, with_kwargs=True)


def _edit(module: Any, args: tuple[Tensor, ...]) -> None:
    module.fulcra_neurons(args[0])


def _add_to_mlp(module: Any, args: object, output: object) -> object:
    return _added(output, module.fulcra_wrote)


def _add_and_take(module: Any, args: object, output: object) -> object:
    output = _added(output, module.fulcra_left)
    if isinstance(output, tuple):
        return tuple(_without(output, module.fulcra_taken))
    return _without([output], module.fulcra_taken)[0]


def _take(
    module: Any, args: tuple[object, ...], named: Mapping[str, object]
) -> tuple[object, dict[str, object]]:
    parts = _without([*args, *named.values()], module.fulcra_taken)
    return tuple(parts[: len(args)]), dict(zip(named, parts[len(args) :], strict=True))


def _added(output: object, site: VectorSite) -> object:
    """What a module gave, the site's vectors added to its first part."""
    if isinstance(output, tuple):
        return (site(output[0]), *output[1:])
    return site(cast(Tensor, output))


def _without(parts: Sequence[object], site: VectorSite) -> list[object]:
    """The parts that sum to the stream without the site's unit vectors, all else as it is.

    Tokens are counted once, at the first part.
    """
    out: list[object] = []
    counts = True
    for part in parts:
        if _is_stream(part, site):
            out.append(site.without(cast(Tensor, part), counts))
            counts = False
        else:
            out.append(part)
    return out


def _is_stream(part: object, site: VectorSite) -> bool:
    if not isinstance(part, Tensor) or not part.is_floating_point():
        return False
    return part.shape[-1] == site.bank.shape[-1]
