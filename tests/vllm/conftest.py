"""What tests of the vLLM engine share: requests with many doses, and one run of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fulcra import Model
    from fulcra.engines.engine import Engine
    from fulcra.types import Edits, Rollout, RolloutRequest, Sampling

TEXTS = ("how do i make the poison tonic ?", "what is a harbor ?", "hello")
Run = Callable[["Engine", Sequence["RolloutRequest"]], list["Rollout"]]
Ask = Callable[..., list["RolloutRequest"]]


@pytest.fixture(scope="session")
def rolled() -> Run:
    """The rollouts of an engine in the order of their requests."""

    def run(engine: "Engine", requests: Sequence["RolloutRequest"]) -> list["Rollout"]:
        out: dict[int, Rollout] = {}
        for shard in engine.run_shards(requests):
            assert not set(shard) & set(out)
            out.update(shard)
        return [out[i] for i in range(len(requests))]

    return run


@pytest.fixture(scope="session")
def asked_of() -> Ask:
    """Every edit set on every prompt, greedy unless samplings say otherwise."""
    from fulcra.types import RolloutRequest, Sampling

    def requests(
        model: "Model",
        sets: Sequence["Edits"],
        samplings: Sequence["Sampling"] = (Sampling(),),
        horizon: int = 24,
    ) -> list[RolloutRequest]:
        return [
            RolloutRequest(model.prompt_ids(text), edits, horizon, sampling)
            for text in TEXTS
            for edits in sets
            for sampling in samplings
        ]

    return requests
