"""The operators of vLLM's graphs: they trace, compile, edit as hooks do, and their memory stays."""

import pytest
import torch
from torch import Tensor, nn

from fulcra.engines.vllm.edit_op import (
    NEURONS,
    SCHEMAS,
    Affine,
    Memory,
    NeuronSite,
    VectorSite,
    add_vectors,
    edit_neurons,
    take_vectors,
)
from fulcra.engines.vllm.plan import Geometry
from fulcra.engines.vllm.sites import Capacity, Sites, spliced

TOKENS, NEURON_COUNT, D_MODEL, ROWS = 7, 48, 6, 5
#: The slot of each token of a pass.
OF_TOKEN = [0, 1, 2, 3, 4, 1, 0]
EDITS = {
    1: [Affine(3, 1.0, 9.0)],
    2: [Affine(0, 0.0, -4.0), Affine(47, -2.5, 0.0)],
    4: [Affine(i, 0.5, float(i)) for i in range(NEURONS)],
}


class Down(nn.Module):
    """A down projection that gives a pair, as vLLM's do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D_MODEL, NEURON_COUNT) / 7)

    def forward(self, activations: Tensor) -> tuple[Tensor, None]:
        return activations @ self.weight.T, None


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(NEURON_COUNT, D_MODEL))
        self.down = Down()

    def forward(self, stream: Tensor) -> Tensor:
        wrote: Tensor = self.down(torch.tanh(stream @ self.up.T))[0]
        return wrote


class Block(nn.Module):
    """A block that carries the stream in two parts, as vLLM's do."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = Mlp()

    def forward(
        self, positions: Tensor, stream: Tensor, residual: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        residual = stream if residual is None else stream + residual
        return self.mlp(stream=residual), residual


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, positions: Tensor, stream: Tensor) -> Tensor:
        residual = None
        for block in self.blocks:
            stream, residual = block(positions, stream, residual)
        assert residual is not None
        return stream + residual


@pytest.fixture
def memory() -> Memory:
    slots = torch.zeros(TOKENS + 9, dtype=torch.long)
    slots[:TOKENS] = torch.tensor(OF_TOKEN)
    bank = torch.zeros(3, D_MODEL)
    bank[1:] = torch.nn.functional.normalize(torch.randn(2, D_MODEL), dim=-1)
    return Memory(slots, bank)


@pytest.fixture
def neurons(memory: Memory) -> NeuronSite:
    """A site with edits in three of five slots."""
    site = NeuronSite(memory, ROWS)
    site.write(EDITS, ROWS)
    return site


def activations() -> Tensor:
    return torch.randn(TOKENS, NEURON_COUNT, generator=torch.Generator().manual_seed(0))


def test_the_operators_are_ones_that_torch_can_trace(memory: Memory, neurons: NeuronSite) -> None:
    site = neurons
    edits = (activations(), site.slots, site.index, site.factor, site.shift, site.acted)
    which, acted = torch.tensor([0, 1, 2, 0, 1]), torch.zeros(ROWS, dtype=torch.long)
    stream = (torch.randn(TOKENS, D_MODEL), memory.slots, which, memory.bank, acted)
    checks = [
        torch.library.opcheck(edit_neurons, edits),
        torch.library.opcheck(add_vectors, stream),
    ]
    checks += [torch.library.opcheck(take_vectors, (*stream, counts)) for counts in (True, False)]
    assert {result for check in checks for result in check.values()} == {"SUCCESS"}
    assert [schema.split("(")[0] for schema in SCHEMAS] == [
        "fulcra::edit_neurons",
        "fulcra::add_vectors",
        "fulcra::take_vectors",
    ]


def test_every_neuron_is_edited_as_its_tokens_slot_says(neurons: NeuronSite) -> None:
    after, before = activations(), activations()
    neurons(after)
    for token, slot in enumerate(OF_TOKEN):
        for edit in EDITS.get(slot, []):
            before[token, edit.neuron] = edit.factor * before[token, edit.neuron] + edit.shift
    assert torch.equal(after, before)
    assert neurons.acted.tolist() == [2, 2, 1, 1, 1]


def test_vectors_are_added_and_taken_out_by_slot(memory: Memory) -> None:
    site, stream = VectorSite(memory, ROWS), torch.randn(TOKENS, D_MODEL)
    site.write({1: 1, 4: 2}, ROWS)
    added, taken = site(stream), site.without(stream, True)
    for token, slot in enumerate(OF_TOKEN):
        row = memory.bank[{1: 1, 4: 2}.get(slot, 0)]
        assert torch.equal(added[token], stream[token] + row)
        assert torch.allclose(taken[token], stream[token] - (stream[token] @ row) * row)
    assert site.acted.tolist() == [4, 4, 2, 2, 2]
    site.without(stream, False)
    assert site.acted.tolist() == [4, 4, 2, 2, 2]


@pytest.fixture
def decoder() -> tuple[Decoder, Sites]:
    torch.manual_seed(0)
    model, layers = Decoder().requires_grad_(False), ("blocks.0", "blocks.1")
    geometry = Geometry(
        downs=[f"{layer}.mlp.down" for layer in layers],
        blocks=list(layers),
        readers=[f"{layer}.mlp" for layer in layers],
        d_model=D_MODEL,
    )
    return model, spliced(model, geometry, Capacity(TOKENS + 9, 2))


def edit(sites: Sites) -> None:
    """An edit of every kind, each in a slot of its own."""
    sites.memory.slots[:TOKENS] = torch.tensor(OF_TOKEN)
    unit = torch.nn.functional.normalize(torch.randn(D_MODEL), dim=0)
    sites.memory.bank[1:3] = torch.stack([unit * 3, unit])
    sites.neurons["neuron", 1].write({1: [Affine(3, 0.0, 9.0)]}, ROWS)
    sites.vectors["mlp", 0].write({2: 1}, ROWS)
    sites.vectors["block", 1].write({3: 1}, ROWS)
    sites.vectors["ablate", 0].write({4: 2}, ROWS)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_graph_reads_what_is_written_later_where_it_is(
    decoder: tuple[Decoder, Sites], backend: str
) -> None:
    model, sites = decoder
    stream, positions = torch.randn(TOKENS, D_MODEL), torch.arange(TOKENS)
    clean = model(positions, stream)
    buffers = {name: buffer.data_ptr() for name, buffer in model.named_buffers()}
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    assert torch.equal(compiled(positions, stream), clean)
    edit(sites)
    dosed = model(positions, stream)
    assert torch.equal(compiled(positions, stream), dosed)
    moved = (dosed != clean).any(-1).tolist()
    assert moved == [slot > 0 for slot in OF_TOKEN]
    # once through the modules, once through the graph: before every reader, after every block
    assert sites.acted(("ablate", 0)).tolist()[4] == 2 * (2 * len(model.blocks) + 1)
    assert sites.acted(("neuron", 1)).tolist()[:ROWS] == [4, 4, 2, 2, 2]
    assert {name: buffer.data_ptr() for name, buffer in model.named_buffers()} == buffers
    torch._dynamo.reset()


def test_sites_hold_no_weights(decoder: tuple[Decoder, Sites]) -> None:
    model, _ = decoder
    assert not any("fulcra" in name for name in model.state_dict())
