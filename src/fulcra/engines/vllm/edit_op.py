"""The operators that edit inside a compiled graph, and the buffers that they read.

A graph replays kernels and no Python: so they stand before and after the modules where edits act,
over memory that stays where it is, and a pass is prepared by writing there (graphs.py). Every token
of a pass has a slot, and a slot says at every site what becomes of its tokens; slot 0 is that of
tokens without an edit.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

#: Edited neurons of one layer that a slot has room for.
NEURONS = 32
#: Vectors of one edit set that there is room for.
VECTORS = 4
#: The name by which a module holds the site beside it.
SITE = "fulcra_{}"


class Affine(NamedTuple):
    """What becomes of a neuron of this worker: `factor` times its activation, plus `shift`."""

    neuron: int
    factor: float
    shift: float


@torch.library.custom_op("fulcra::edit_neurons", mutates_args=("activations", "acted"))
def edit_neurons(
    activations: Tensor, slots: Tensor, index: Tensor, factor: Tensor, shift: Tensor, acted: Tensor
) -> None:
    """Edit activations [token, neuron] in place: factor times what is at index, plus shift.

    slots [token] has room for the longest pass; index, factor and shift [slot, NEURONS]; acted
    [slot] counts tokens. Add, scale and pin are one form: (1, dose), (factor, 0) and (0, value).
    """
    mine = slots[: activations.shape[0]]
    places = index[mine]
    before = activations.gather(1, places)
    after = torch.addcmul(shift[mine], before, factor[mine])
    activations.scatter_(1, places, after)
    acted.index_add_(0, mine, torch.ones_like(mine))


@torch.library.custom_op("fulcra::add_vectors", mutates_args=("acted",))
def add_vectors(
    stream: Tensor, slots: Tensor, which: Tensor, bank: Tensor, acted: Tensor
) -> Tensor:
    """The stream [token, d_model], to each token added the vector of its slot.

    which [slot] is a row of the bank [row, d_model], whose row 0 is no vector; acted as above.
    """
    mine = slots[: stream.shape[0]]
    acted.index_add_(0, mine, torch.ones_like(mine))
    return stream + bank[which[mine]]


@torch.library.custom_op("fulcra::take_vectors", mutates_args=("acted",))
def take_vectors(
    stream: Tensor, slots: Tensor, which: Tensor, bank: Tensor, acted: Tensor, counts: bool
) -> Tensor:
    """The stream [token, d_model] without its part along the unit vector of each token's slot.

    `counts` is false for the further parts of a stream that is carried in several.
    """
    mine = slots[: stream.shape[0]]
    if counts:
        acted.index_add_(0, mine, torch.ones_like(mine))
    unit = bank[which[mine]]
    return stream - (stream * unit).sum(-1, keepdim=True) * unit


@edit_neurons.register_fake
def _edits(
    activations: Tensor, slots: Tensor, index: Tensor, factor: Tensor, shift: Tensor, acted: Tensor
) -> None:
    """What tracing sees: nothing is returned, two arguments are changed."""


@add_vectors.register_fake
def _adds(stream: Tensor, slots: Tensor, which: Tensor, bank: Tensor, acted: Tensor) -> Tensor:
    return torch.empty_like(stream)


@take_vectors.register_fake
def _takes(
    stream: Tensor, slots: Tensor, which: Tensor, bank: Tensor, acted: Tensor, counts: bool
) -> Tensor:
    return torch.empty_like(stream)


#: The operators as a graph calls them: what a graph that was made for others must not be run with.
SCHEMAS = [str(op._opoverload._schema) for op in (edit_neurons, add_vectors, take_vectors)]


class Memory(NamedTuple):
    """What all sites of a model share: the slot of each token, and vectors, with row 0 for none.

    slots [token], bank [row, d_model].
    """

    slots: Tensor
    bank: Tensor


@final
class NeuronSite(nn.Module):
    """The operator before one down projection: what each of `rows` slots does to its neurons.

    A slot with room for more neurons than it edits has its first one several times.
    """

    slots: Tensor
    index: Tensor
    factor: Tensor
    shift: Tensor
    acted: Tensor

    def __init__(self, memory: Memory, rows: int) -> None:
        super().__init__()
        shape, like = (rows, NEURONS), memory.bank
        whole = memory.slots.new_zeros
        _keep(self, slots=memory.slots, index=whole(shape), acted=whole(rows))
        _keep(self, factor=like.new_ones(shape), shift=like.new_zeros(shape))

    def forward(self, activations: Tensor) -> None:
        """Edit activations [token, neuron] in place."""
        edit_neurons(activations, self.slots, self.index, self.factor, self.shift, self.acted)

    def write(self, edits: Mapping[int, Sequence[Affine]], slots: int) -> None:
        """Let the first `slots` slots be these, by number; those without edits change nothing."""
        rows = [_filled(edits.get(slot, ())) for slot in range(slots)]
        index, factor, shift = (torch.tensor(column) for column in zip(*rows, strict=True))
        self.index[:slots].copy_(index)
        self.factor[:slots].copy_(factor)
        self.shift[:slots].copy_(shift)
        self.acted.zero_()


@final
class VectorSite(nn.Module):
    """The operators where vectors act on the stream: which row of the bank each slot has there."""

    slots: Tensor
    bank: Tensor
    which: Tensor
    acted: Tensor

    def __init__(self, memory: Memory, rows: int) -> None:
        super().__init__()
        whole = memory.slots.new_zeros
        _keep(self, slots=memory.slots, bank=memory.bank, which=whole(rows), acted=whole(rows))

    def forward(self, stream: Tensor) -> Tensor:
        """The stream with the vectors added."""
        out: Tensor = add_vectors(stream, self.slots, self.which, self.bank, self.acted)
        return out

    def without(self, stream: Tensor, counts: bool) -> Tensor:
        """The stream without the unit vectors; tokens are counted where `counts` says so."""
        args = (self.slots, self.which, self.bank, self.acted)
        out: Tensor = take_vectors(stream, *args, counts)
        return out

    def write(self, rows: Mapping[int, int], slots: int) -> None:
        """Let the first `slots` slots have these rows of the bank; the others of them have none."""
        self.which[:slots].copy_(torch.tensor([rows.get(slot, 0) for slot in range(slots)]))
        self.acted.zero_()


def beside(module: nn.Module, name: str, site: nn.Module) -> None:
    """Make a site part of a module, as whose own its buffers are found when the graph runs."""
    module.add_module(SITE.format(name), site)


def _keep(site: nn.Module, **buffers: Tensor) -> None:
    for name, buffer in buffers.items():
        site.register_buffer(name, buffer, persistent=False)


def _filled(edits: Sequence[Affine]) -> tuple[list[int], list[float], list[float]]:
    """The edits of one slot as index, factor and shift, [NEURONS] each."""
    first = edits[0] if edits else Affine(0, 1.0, 0.0)
    whole = [*edits, *[first] * (NEURONS - len(edits))]
    return [e.neuron for e in whole], [e.factor for e in whole], [e.shift for e in whole]
