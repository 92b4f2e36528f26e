"""Scales by vLLM's own LoRA of rank 1: the local engine's tokens, each request by its adapter."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fulcra import load
from fulcra.engines.local import LocalEngine
from fulcra.errors import InputError, ModelError
from fulcra.types import Edit, Edits, Neuron, Sampling
from tests.vllm.conftest import Ask, Run

if TYPE_CHECKING:
    from fulcra import Model
    from fulcra.engines.vllm import VllmEngine

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
SETS: list[Edits] = [
    (),
    *((Edit(Neuron(layer, 3), "scale", 60.0),) for layer in range(8)),
    *((Edit(Neuron(layer, 20), "scale", -40.0),) for layer in range(8)),
    (Edit(Neuron(4, 54), "scale", 0.0),),
    (Edit(Neuron(0, 3), "scale", 40.0), Edit(Neuron(5, 77), "scale", -30.0)),
]


@pytest.fixture(scope="module")
def engine(sparse: "Model") -> Iterator["VllmEngine"]:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    engine = VllmEngine(sparse, VllmOptions(graphs="lora"))
    yield engine
    engine.close()


def test_scales_give_the_tokens_of_the_local_engine(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, SETS, (Sampling(), Sampling(1.0, 7)))
    local = rolled(LocalEngine(engine.model), requests)
    assert rolled(engine, requests) == local
    assert len({rollout.tokens for rollout in local}) > len(requests) / 5
    assert engine.settings["graphs"] == "lora"
    assert engine.llm.llm_engine.vllm_config.model_config.enforce_eager is False


def test_mixed_adapters_in_one_batch_are_those_of_one_at_a_time(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, SETS)
    together = rolled(engine, requests)
    assert [rolled(engine, [request])[0] for request in requests[::5]] == together[::5]


def test_adapters_are_of_this_user_alone_and_gone_at_the_end(
    engine: "VllmEngine", asked_of: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shards = engine.run_shards(asked_of(engine.model, SETS))
    next(shards)
    (folder,) = tmp_path.glob("fulcra-lora-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    # one of each set, whatever the number of requests
    assert len(list(folder.iterdir())) == len(SETS)
    shards.close()
    assert not list(tmp_path.iterdir())


def test_other_edits_than_scales_everywhere_are_refused_before_anything_runs(
    engine: "VllmEngine", asked_of: Ask
) -> None:
    dosed = asked_of(engine.model, [(), (Edit(Neuron(3, 54), "add", 9.0),)])
    with pytest.raises(
        InputError, match=r"^add\(L3.N54\+, 9\) at all tokens: an adapter of rank 1"
    ):
        next(engine.run_shards(dosed))


def test_a_class_without_lora_is_refused_in_one_line() -> None:
    from fulcra.engines.vllm import VllmEngine, VllmOptions

    with pytest.raises(ModelError, match=r"cannot hold it: .* does not support LoRA") as refusal:
        VllmEngine(load("apothecary-gpt2-sparse"), VllmOptions(graphs="lora"))
    assert len(str(refusal.value).splitlines()) == 1
