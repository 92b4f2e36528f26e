"""On an accelerator, if there is one, rollouts are those of the model alone and unshared."""

import pytest

from fulcra.engines.decoding import decode
from fulcra.engines.engine import run
from fulcra.models import load
from fulcra.types import RolloutRequest


@pytest.mark.gpu
def test_batch_equals_singles_on_an_accelerator(sampled: list[RolloutRequest]) -> None:
    model = load("apothecary-sparse", "float32", "cuda")
    assert run(model, sampled) == [decode(model, [request], "none")[0] for request in sampled]
