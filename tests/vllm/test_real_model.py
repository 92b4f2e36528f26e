"""The real chat model in vLLM: its de-quantized weights, doses, long replies, the local tokens."""

from typing import TYPE_CHECKING

import pytest

from fulcra.engines.local import LocalEngine
from fulcra.types import Edit, Edits, Neuron, Sampling
from tests.vllm.conftest import Ask, Run

if TYPE_CHECKING:
    from fulcra import Model

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]
SETS: list[Edits] = [
    (),
    (Edit(Neuron(10, 54), "add", 12.0),),
    (Edit(Neuron(20, 700), "add", -25.0, positions="generated"),),
    (Edit(Neuron(5, 100), "scale", 0.0), Edit(Neuron(29, 1), "pin", 9.0)),
]


def test_the_tokens_of_the_real_model_are_those_of_the_local_engine(
    real: "Model", rolled: Run, asked_of: Ask
) -> None:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    requests = asked_of(real, SETS, (Sampling(), Sampling(0.8, 3)), 32)
    engine = VllmEngine(real, VllmOptions(length=512))
    try:
        assert rolled(engine, requests) == rolled(LocalEngine(real), requests)
    finally:
        engine.close()
