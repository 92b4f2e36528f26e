"""Edits by operators inside the graph that vLLM compiles: the tokens of the local engine."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from fulcra.engines.local import LocalEngine
from fulcra.errors import EngineError, ModelError
from fulcra.models import ablate_direction, add_mlp, anchor, direction
from fulcra.models.edits import add
from fulcra.types import Direction, Edit, Edits, Neuron, Positions, Sampling
from tests.vllm.conftest import Ask, Run

if TYPE_CHECKING:
    from fulcra import Model
    from fulcra.engines.vllm import VllmEngine
    from fulcra.engines.vllm.graphs import Spliced

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
DRAWN = (Sampling(), Sampling(1.0, 7), Sampling(0.7, 2**70 + 1))
DOSE = Edit(Neuron(3, 54), "add", 9.0)
SCOPES: tuple[Positions, ...] = ("all", "prompt", "last", "generated")


def every_kind(model: "Model") -> list[Edits]:
    """Edit sets of every kind and scope, and some that act together."""
    written = direction(2, torch.randn(model.d_model, generator=torch.Generator().manual_seed(3)))
    other = Direction(2, "other", written.vector.flip(0))
    return [
        (),
        (DOSE,),
        (Edit(Neuron(3, 5), "scale", 0.0), Edit(Neuron(6, 100), "add", -30.0)),
        (Edit(Neuron(0, 0), "scale", 7.0), Edit(Neuron(0, 100), "add", -9.0)),
        *((Edit(Neuron(5, 77), "pin", 20.0, positions=p), DOSE) for p in SCOPES),
        (anchor(Neuron(3, 54), 8.0, 1.5),),
        (add(written, alpha=0.5), add(other, alpha=0.5)),
        (add_mlp(written, 2.0),),
        (ablate_direction(written),),
        (add_mlp(written, 2.0, positions="generated"), Edit(Neuron(7, 10), "add", 15.0)),
    ]


@pytest.fixture(scope="module")
def engine(sparse: "Model", tmp_path_factory: pytest.TempPathFactory) -> Iterator["VllmEngine"]:
    """vLLM with a graph that Dynamo traced; run as traced, since code for a CPU takes minutes."""
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    patch = pytest.MonkeyPatch()
    patch.setenv("VLLM_CPU_CI_ENV", "1")
    patch.setenv("VLLM_CACHE_ROOT", str(tmp_path_factory.mktemp("vllm")))
    engine = VllmEngine(sparse, VllmOptions(graphs="op"))
    yield engine
    engine.close()
    patch.undo()


def worker(engine: "VllmEngine") -> Any:
    return engine.llm.llm_engine.model_executor.driver_worker.worker


def test_every_edit_gives_the_tokens_of_the_local_engine(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, every_kind(engine.model), DRAWN)
    local = rolled(LocalEngine(engine.model), requests)
    assert rolled(engine, requests) == local
    assert len({rollout.tokens for rollout in local}) > len(requests) / 4
    assert engine.settings["graphs"] == "op"


def test_mixed_doses_in_one_batch_are_those_of_one_at_a_time(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, every_kind(engine.model), (Sampling(), Sampling(1.0, 7)))
    together = rolled(engine, requests)
    assert [rolled(engine, [request])[0] for request in requests[::3]] == together[::3]


def test_the_graph_itself_edits_and_its_memory_stays(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    from vllm.config import CompilationMode

    assert engine.llm.llm_engine.vllm_config.compilation_config.mode != CompilationMode.NONE
    model = worker(engine).get_model()
    buffers = {n: b.data_ptr() for n, b in model.named_buffers() if "fulcra" in n}
    steered = [
        m for m in model.modules() if any("fulcra" in name for name, _ in m.named_children())
    ]
    hooks = [(dict(m._forward_pre_hooks), dict(m._forward_hooks)) for m in steered]
    assert len(steered) == 3 * engine.model.n_layers
    for module in steered:  # what Python would call, and no replay of a graph does
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    requests = asked_of(engine.model, every_kind(engine.model))
    assert rolled(engine, requests) == rolled(LocalEngine(engine.model), requests)
    for module, (before, after) in zip(steered, hooks, strict=True):
        module._forward_pre_hooks.update(before)
        module._forward_hooks.update(after)
    assert {n: b.data_ptr() for n, b in model.named_buffers() if "fulcra" in n} == buffers


def test_edits_are_not_carried_over_into_a_run_without_any(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    clean = asked_of(engine.model, [()])
    before = rolled(engine, clean)
    rolled(engine, asked_of(engine.model, [(DOSE,), ()]))
    assert rolled(engine, clean) == before == rolled(LocalEngine(engine.model), clean)


def test_an_edit_that_is_not_written_is_refused_and_named(
    engine: "VllmEngine", asked_of: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm.graphs import Spliced

    monkeypatch.setattr(Spliced, "_met", lambda self, edits, scopes: [])
    requests = asked_of(engine.model, [(DOSE,)])
    with pytest.raises(EngineError, match=r"add\(L3.N54\+, 9\): vLLM edited 0 tokens where \d+"):
        list(engine.run_shards(requests))


def test_a_graph_that_reads_nothing_of_what_is_written_is_refused_at_the_start(
    engine: "VllmEngine", monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm import probe
    from fulcra.engines.vllm.edit_op import NeuronSite

    monkeypatch.setattr(NeuronSite, "write", lambda self, edits, slots: self.acted.zero_())
    with pytest.raises(ModelError, match=r"runs unsteered: add\(L0.N0\+, \S+\) does not act"):
        probe.require_steered(engine, engine.model)


def test_the_second_model_runner_is_refused(
    sparse: "Model", monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "1")
    with pytest.raises(EngineError, match="--graphs op: prepared in vLLM's first model runner"):
        VllmEngine(sparse, VllmOptions(graphs="op"))


class Down(nn.Module):
    """A down projection of the second of two workers, whose output is its input."""

    tp_rank, input_size_per_partition = 1, 10

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, activations: Tensor) -> Tensor:
        return activations


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = Down()

    def forward(self, activations: Tensor) -> Tensor:
        out: Tensor = self.down(activations)
        return out


@pytest.fixture
def spliced(monkeypatch: pytest.MonkeyPatch) -> "Spliced":
    """The operators in a model of one down projection, its passes given as stretches."""
    from fulcra.engines.vllm import graphs
    from fulcra.engines.vllm.plan import Geometry, plain

    monkeypatch.setattr(graphs, "stretches", lambda table, inputs: inputs["stretches"])
    geometry = Geometry(downs=["0.down"], blocks=["0"], readers=["0.down"], d_model=10)
    model: Any = nn.Sequential(Block())
    made: Any = graphs.Spliced(None, model, geometry, graphs.Capacity(16, 2))
    made.model = model
    edits = (
        Edit(Neuron(0, 12), "add", 5.0),
        Edit(Neuron(0, 19), "pin", 7.0, positions="generated"),
        Edit(Neuron(0, 2), "add", 9.0),
        Edit(Direction(0, "written", torch.eye(10)[6]), "add_vector", 3.0, positions="prompt"),
    )
    made.learn({"set 0": plain(edits)})
    return made


def passed(spliced: Any, *stretches: tuple[str, int, int, int]) -> Tensor:
    """What comes out of a pass of zeros whose stretches are row, start, length and place."""
    from fulcra.engines.vllm.plan import Named
    from fulcra.engines.vllm.rows import Stretch

    def named(row: str) -> Named:
        return Named(
            row=row,
            edits="set 0",
            prompt=3,
            temperature=0.0,
            seed="0",
            horizon=9,
            end=0,
            first_logits=False,
        )

    spliced.prepare({"stretches": [Stretch(named(row), *rest) for row, *rest in stretches]})
    out: Tensor = spliced.model(torch.zeros(8, 10))
    return out


def nonzero(out: Tensor) -> Sequence[tuple[int, int, float]]:
    return [(t, n, float(out[t, n])) for t, n in out.nonzero().tolist()]


PROMPT, REPLY = ((2, 5.0), (6, 3.0)), ((2, 5.0), (9, 7.0))


def test_a_worker_edits_the_neurons_it_holds_and_counts_no_token_twice(spliced: Any) -> None:
    first = passed(spliced, ("a", 0, 3, 0), ("b", 3, 2, 0))
    assert nonzero(first) == [(t, *edit) for t in range(5) for edit in PROMPT]
    second = passed(spliced, ("a", 0, 1, 3), ("b", 1, 1, 2))
    assert nonzero(second) == [(0, *edit) for edit in REPLY] + [(1, *edit) for edit in PROMPT]
    third = passed(spliced, ("a", 0, 1, 4), ("b", 1, 1, 3))
    assert nonzero(third) == [(t, *edit) for t in (0, 1) for edit in REPLY]
    buffers = [buffer.data_ptr() for buffer in spliced.model.buffers()]
    assert torch.equal(passed(spliced, ("a", 0, 1, 5), ("b", 1, 1, 4)), third)
    # row b was driven out and is read again from its start: its tokens so far are not new ones
    again = passed(spliced, ("b", 0, 6, 0))
    assert nonzero(again[:3]) == [(t, *edit) for t in range(3) for edit in PROMPT]
    assert nonzero(again[3:]) == [(t, *edit) for t in range(3) for edit in REPLY]
    spliced.settle()
    assert spliced.forget("a") == [6, 3, 0, 3]
    assert spliced.forget("b") == [6, 3, 0, 3]
    assert nonzero(passed(spliced)) == []
    spliced.settle()
    assert [buffer.data_ptr() for buffer in spliced.model.buffers()] == buffers
