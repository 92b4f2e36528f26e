"""Two workers that share every layer: each edits the neurons it holds, the sum is the model's."""

import pytest

from fulcra.engines.local import LocalEngine
from fulcra.engines.vllm.plan import Graphs
from fulcra.models import ablate_direction, add_mlp, direction
from fulcra.models.edits import add
from fulcra.types import Edit, Edits, Neuron, Sampling
from tests.vllm.conftest import Ask, Run

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


SCALED: list[Edits] = [
    (),
    (Edit(Neuron(0, 3), "scale", 60.0),),
    (Edit(Neuron(3, 20), "scale", -40.0), Edit(Neuron(5, 77), "scale", -40.0)),
]


def test_two_workers_give_the_tokens_of_the_local_engine(
    sparse, rolled: Run, asked_of: Ask
) -> None:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    written = direction(2, sparse.write(Neuron(1, 5)) * 3)
    sets: list[Edits] = [
        (),
        (Edit(Neuron(3, 54), "add", 9.0),),
        (Edit(Neuron(3, 54), "add", 9.0), Edit(Neuron(3, sparse.d_mlp - 1), "pin", -12.0)),
        (add(written, alpha=2.0),),
        (add_mlp(written, 2.0),),
        (ablate_direction(written),),
    ]
    engine = VllmEngine(sparse, VllmOptions(tensor_parallel=2))
    try:
        requests = asked_of(sparse, sets, (Sampling(), Sampling(1.0, 3)))
        assert rolled(engine, requests) == rolled(LocalEngine(sparse), requests)
        assert engine.settings["tensor_parallel"] == 2
    finally:
        engine.close()


@pytest.mark.parametrize("graphs", ["op", "lora"])
def test_two_workers_with_graphs_give_the_tokens_of_the_local_engine(
    sparse, graphs: Graphs, rolled: Run, asked_of: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    monkeypatch.setenv("VLLM_CPU_CI_ENV", "1")  # a graph is run as Dynamo traced it
    last = Neuron(3, sparse.d_mlp - 1)
    dosed: list[Edits] = [
        (Edit(Neuron(3, 54), "add", 9.0), Edit(last, "pin", -12.0)),
        (ablate_direction(direction(2, sparse.write(Neuron(1, 5)))),),
    ]
    sets = SCALED if graphs == "lora" else [*SCALED, *dosed]
    engine = VllmEngine(sparse, VllmOptions(tensor_parallel=2, graphs=graphs))
    try:
        requests = asked_of(sparse, sets)
        assert rolled(engine, requests) == rolled(LocalEngine(sparse), requests)
    finally:
        engine.close()
