"""What serves vLLM's second model runner, which has never run here: it needs Triton on a CPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fulcra.engines.sampling import choose, uniforms
from fulcra.engines.vllm.plan import Named
from fulcra.types import RolloutRequest, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]


def params(row: str, temperature: float = 0.0) -> Any:
    named = Named(
        row=row,
        edits="",
        prompt=3,
        temperature=temperature,
        seed="7",
        horizon=5,
        end=2,
        first_logits=False,
    )
    return SimpleNamespace(extra_args={"fulcra": named})


class Runner:
    """The calls of the second runner that are listened to, in its order."""

    def add_requests(self, scheduler_output: Any) -> None:
        self.added = [new.req_id for new in scheduler_output.scheduled_new_reqs]

    def prepare_inputs(self, order: list[str]) -> Any:
        return SimpleNamespace(req_ids=order)


def test_requests_are_caught_as_they_are_added_and_ordered_as_their_rows() -> None:
    from fulcra.engines.vllm.rows import table_of

    runner = Runner()
    table = table_of(runner)
    new = [SimpleNamespace(req_id=name, sampling_params=params(name)) for name in "ab"]
    runner.add_requests(SimpleNamespace(scheduled_new_reqs=new, finished_req_ids=set()))
    assert runner.added == ["a", "b"]
    runner.prepare_inputs(["b", "stranger", "a"])
    rows = [None if named is None else named["row"] for named in table.names()]
    assert rows == ["b", None, "a"]
    runner.add_requests(SimpleNamespace(scheduled_new_reqs=[], finished_req_ids={"b"}))
    runner.prepare_inputs(["a"])
    assert len(table.names()) == 1


def test_the_names_that_are_listened_to_are_those_of_the_installed_runner() -> None:
    import ast
    from importlib.util import find_spec
    from pathlib import Path

    # the module itself imports Triton; its text says what there is
    folder = Path(find_spec("vllm").origin).parent / "v1" / "worker" / "gpu"
    tree = ast.parse((folder / "model_runner.py").read_text())
    (runner,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "GPUModelRunner")
    methods = {n.name for n in runner.body if isinstance(n, ast.FunctionDef)}
    assert {"add_requests", "prepare_inputs", "get_model"} <= methods
    assert "self.requests" not in (folder / "model_runner.py").read_text()


def test_tokens_are_those_of_the_local_engine_by_slot_and_position() -> None:
    from fulcra.engines.vllm.tokens import BROKEN, SPOILED, SecondTokens

    tokens = SecondTokens(None, None)
    assert tokens.add_request(4, params("drawn", 1.0))
    assert tokens.add_request(1, params("broken"))
    assert not tokens.add_request(2, SimpleNamespace(extra_args=None))
    logits = torch.randn(4, 11, generator=torch.Generator().manual_seed(0))
    logits[2] = torch.nan
    before = logits.clone()
    # the second row is somebody else's, the last one still reads its prompt
    slots, places = torch.tensor([4, 2, 1, 4]), torch.tensor([4, 9, 2, 1])
    after = tokens.apply(logits, SimpleNamespace(expanded_idx_mapping=slots, pos=places))
    uniform = uniforms([RolloutRequest((), (), 5, Sampling(1.0, 7))], 5)[0, 2]
    drawn = choose(before[:1], torch.tensor([1.0]), uniform[None], True)
    assert after[0].isfinite().nonzero()[:, 0].tolist() == drawn.tolist()
    assert torch.equal(after[[1, 3]], before[[1, 3]])
    assert after[2].isfinite().nonzero()[:, 0].tolist() == [2]
    assert (BROKEN.pop("broken"), "broken" in SPOILED) == (0, True)
    SPOILED.clear()
