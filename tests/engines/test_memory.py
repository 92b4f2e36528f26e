"""Batches depend on the requests alone; memory only splits them, and nothing is lost."""

from pathlib import Path

import pytest
import torch

from fulcra.engines import local, memory
from fulcra.engines.engine import run
from fulcra.engines.local import shards
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest


def test_a_split_for_memory_changes_nothing(
    model: Model, sampled: list[RolloutRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, together = run(model, sampled), shards(model, sampled)
    monkeypatch.setattr(
        memory, "free_bytes", lambda device: 24 * memory.batch_bytes(model, sampled) // len(sampled)
    )
    assert shards(model, sampled) == together
    assert run(model, sampled) == expected


def test_a_batch_that_runs_out_of_memory_is_halved(
    model: Model, sampled: list[RolloutRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, sizes = run(model, sampled), []

    def cramped(model: Model, requests: list[RolloutRequest]) -> list[Rollout]:
        sizes.append(len(requests))
        if len(requests) > 20:
            raise torch.OutOfMemoryError("too many rows")
        return decode(model, requests)

    decode = local.decode
    monkeypatch.setattr(local, "decode", cramped)
    assert run(model, sampled) == expected
    assert max(sizes) > 20 >= min(sizes)


def test_a_budget_too_small_for_one_row_is_an_error(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(
        InputError, match="one row of apothecary-sparse takes about 0 MiB and 0 MiB are free"
    ):
        run(model, [RolloutRequest((5, 6), (), 4)])


def test_one_row_that_runs_out_of_memory_is_named(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cramped(model: Model, requests: list[RolloutRequest]) -> list[Rollout]:
        raise torch.OutOfMemoryError("too many rows")

    monkeypatch.setattr(local, "decode", cramped)
    with pytest.raises(
        InputError, match=r"rollout of 2 \+ 4 tokens: .* ran out of memory with this row alone"
    ):
        run(model, [RolloutRequest((5, 6), (), 4)] * 3)


@pytest.mark.parametrize("request_", [RolloutRequest((), (), 4), RolloutRequest((5,), (), 0)])
def test_a_request_for_nothing_is_named(model: Model, request_: RolloutRequest) -> None:
    with pytest.raises(InputError, match="at least one prompt token"):
        run(model, [request_])


def test_the_decision_names_the_constants() -> None:
    page = Path(__file__).parents[2] / "docs" / "decisions" / "0005-batches-and-memory.md"
    sizes = f"{memory.BYTES['cpu'] >> 20} MiB on a CPU, {memory.ACCELERATOR_BYTES >> 30} GiB on"
    rows = f"at most {memory.MAX_ROWS} rows"
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert f"{sizes} an accelerator, {rows};" in text
