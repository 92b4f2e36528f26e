"""The same tokens from vLLM as from the local engine, for every bundled organism it can hold."""

from collections.abc import Iterator

import pytest

from fulcra import load
from fulcra.engines.local import LocalEngine
from fulcra.engines.vllm import VllmEngine
from fulcra.errors import ModelError
from fulcra.organisms.planted import bundled_names
from fulcra.types import Edit, Edits, Neuron, RolloutRequest, Sampling
from tests.vllm.conftest import Ask, Run

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
#: vLLM's class for this family has no output head of its own, whatever the config says.
TIED = [name for name in bundled_names() if "gemma2" in name]
#: apothecary-sparse is in test_edits.py.
HELD = [name for name in bundled_names() if name not in TIED and name != "apothecary-sparse"]
SETS: list[Edits] = [
    (),
    (Edit(Neuron(3, 54), "add", 9.0),),
    (Edit(Neuron(2, 100), "scale", -3.0), Edit(Neuron(6, 11), "add", -20.0)),
    (Edit(Neuron(5, 77), "pin", 20.0, positions="generated"),),
]
BROKEN: list[Edits] = [
    (Edit(Neuron(2, 3), "add", 1e38), Edit(Neuron(2, 4), "add", -1e38)),
    tuple(Edit(Neuron(layer, 3), "pin", 3e38, positions="generated") for layer in (2, 3)),
]


@pytest.fixture(params=HELD)
def engine(request: pytest.FixtureRequest) -> Iterator[VllmEngine]:
    engine = VllmEngine(load(request.param))
    yield engine
    engine.close()


def test_tokens_are_those_of_the_local_engine(
    engine: VllmEngine, rolled: Run, asked_of: Ask
) -> None:
    local = LocalEngine(engine.model)
    requests = asked_of(engine.model, SETS, (Sampling(), Sampling(1.0, 3)))
    assert rolled(engine, requests) == rolled(local, requests)
    # what a dose breaks is told as the local engine tells it, and is not handed to the next rows
    prompt = requests[0].prompt
    broken = [RolloutRequest(prompt, edits, 12) for edits in BROKEN]
    assert rolled(engine, broken * 3) == rolled(local, broken * 3)
    if engine.model.config.model_type == "gpt2":
        assert [r.finite for r in rolled(engine, broken)] == [False, False]
    assert rolled(engine, requests) == rolled(local, requests)


@pytest.mark.parametrize("name", TIED)
def test_an_organism_that_vllm_would_change_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ModelError, match="cannot hold it") as refusal:
        VllmEngine(load(name))
    assert len(str(refusal.value).splitlines()) == 1
