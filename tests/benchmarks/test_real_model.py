"""The rows of the real model's benchmark: what was counted, and how far two trees are apart."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fulcra.models.tiny import tiny

FILE = Path(__file__).parents[2] / "benchmarks" / "real_model.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_model", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operations_are_two_a_weight_and_position(bench: ModuleType) -> None:
    model = tiny("llama")
    counter = bench.Counter(model.hf)
    with torch.no_grad():
        model.hf(input_ids=torch.tensor([[5, 6, 7]]), logits_to_keep=1)
    head = model.hf.get_output_embeddings().weight.numel()
    linear = [m for m in model.hf.modules() if isinstance(m, torch.nn.Linear)]
    blocks = sum(module.weight.numel() for module in linear) - head
    assert counter.operations == 2 * (3 * blocks + head)
    assert counter.tokens == 3


def test_a_row_holds_its_share_of_the_limit_and_its_ratio(bench: ModuleType) -> None:
    ours = {"stage": "pins", "cpu_s": 2.0, "gflop": 100.0, "gflop_s": 100.0, "said": [[1], [2]]}
    peers = [{**ours, "cpu_s": 5.0, "said": [[1], [3]]}, {**ours, "cpu_s": 7.0}]
    row = bench.row_of(ours, peers)
    assert row["share_of_limit"] == 0.5
    assert (row["peer_cpu_s"], row["ratio"]) == (6.0, 3.0)
    assert row["peer_against_itself"] == pytest.approx(5 / 7, rel=1e-3)
    assert row["equal_rollouts"] == 0.5
    assert "ratio" not in bench.row_of(ours, [])
    assert bench.apart([1.0, 2.0], [1.0, 2.5]) == {"largest_difference": 0.5}
