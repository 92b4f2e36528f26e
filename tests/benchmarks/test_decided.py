"""The rows of decided branches: rates against the loop, round by round."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from fulcra.models.tiny import tiny

FILE = Path(__file__).parents[2] / "benchmarks" / "decided.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("decided", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_decided_branches_count_and_rates_are_held_against_the_loop(bench: ModuleType) -> None:
    words = {("selection", "L0.N1+", 0.1, "p0"): "a", ("selection", "L0.N1+", 0.1, "p1"): "b"}
    verdicts = {"L0.N1+": "closed", "L0.N1-": "undetermined"}
    loop = bench.Turn(8.0, 20, verdicts, words)
    ours = bench.Turn(1.0, 12, {**verdicts, "L0.N1-": "open"}, {**words, next(iter(words)): "c"})
    assert (loop.decided, ours.decided) == (1, 2)
    rows = {row["name"]: row for row in bench.rows_of([{"loop": loop, "full": ours}])}
    assert (rows["loop"]["ratio"], rows["full"]["ratio"]) == (1.0, 16.0)
    assert (rows["full"]["equal_verdicts"], rows["full"]["equal_greedy_rollouts"]) == (1, 0.5)
    assert (rows["full"]["rollouts"], rows["full"]["branches"]) == (12, 2)


def test_the_peer_is_a_model_of_its_own_with_the_places_of_ours(bench: ModuleType) -> None:
    model = tiny("llama")
    hooked = bench.Hooked(model)
    assert hooked.hf is not model.hf
    name = hooked.name(1)
    assert model.hf.get_submodule(name) is model.down(1)
    assert hooked.hf.get_submodule(name) is not model.down(1)
    end = next(iter(model.end_ids))
    reply = hooked.reply([5, 6, end, 7])
    assert (reply.tokens, reply.ended) == ((5, 6), True)
