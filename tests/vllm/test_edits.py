"""A real vLLM edits as the local engine does: every kind, every scope, every draw, float32."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch

from fulcra.engines.local import LocalEngine
from fulcra.errors import EngineError, InputError, ModelError
from fulcra.models import ablate_direction, add_mlp, anchor, direction
from fulcra.models.edits import add
from fulcra.types import Direction, Edit, Edits, Neuron, RolloutRequest, Sampling
from tests.vllm.conftest import Ask, Run

if TYPE_CHECKING:
    from fulcra import Model
    from fulcra.engines.vllm import VllmEngine

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
DRAWN = (Sampling(), Sampling(1.0, 7), Sampling(0.7, 2**70 + 1))
DOSE = Edit(Neuron(3, 54), "add", 9.0)


@pytest.fixture(scope="module")
def engine(sparse: "Model") -> Iterator["VllmEngine"]:
    from fulcra.engines.vllm import VllmEngine

    engine = VllmEngine(sparse)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def written(sparse: "Model") -> Direction:
    vector = torch.randn(sparse.d_model, generator=torch.Generator().manual_seed(3))
    return direction(2, vector)


def every_kind(written: Direction) -> list[Edits]:
    """Edit sets of every kind and scope, and some that act together."""
    scoped = [(Edit(Neuron(5, 77), "pin", 20.0, positions=p),) for p in SCOPES]
    return [
        (),
        (DOSE,),
        (Edit(Neuron(3, 5), "scale", 0.0), Edit(Neuron(6, 100), "add", -30.0)),
        *scoped,
        (anchor(Neuron(3, 54), 8.0, 1.5),),
        (add(written, alpha=0.5), add(Direction(2, "other", written.vector.flip(0)), alpha=0.5)),
        (add_mlp(written, 2.0),),
        (ablate_direction(written),),
        (add_mlp(written, 2.0, positions="generated"), Edit(Neuron(7, 10), "add", 15.0)),
    ]


SCOPES = ("all", "prompt", "last", "generated")


def test_every_edit_gives_the_tokens_of_the_local_engine_greedy_and_drawn(
    engine: "VllmEngine", written: Direction, rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, every_kind(written), DRAWN)
    local = rolled(LocalEngine(engine.model), requests)
    assert rolled(engine, requests) == local
    assert engine.unfit == {}
    # so that equality says something: doses and draws make many different replies
    assert len({rollout.tokens for rollout in local}) > len(requests) / 4


def test_mixed_doses_in_one_batch_are_those_of_one_at_a_time(
    engine: "VllmEngine", written: Direction, rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, every_kind(written), (Sampling(), Sampling(1.0, 7)))
    together = rolled(engine, requests)
    assert [rolled(engine, [request])[0] for request in requests[::3]] == together[::3]


def test_edits_are_not_carried_over_into_a_run_without_any(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    clean = asked_of(engine.model, [()])
    before = rolled(engine, clean)
    rolled(engine, asked_of(engine.model, [(DOSE,), ()]))
    assert rolled(engine, clean) == before == rolled(LocalEngine(engine.model), clean)


def test_a_run_that_is_left_leaves_nothing_behind(
    engine: "VllmEngine", rolled: Run, asked_of: Ask
) -> None:
    requests = asked_of(engine.model, [(), (DOSE,)], tuple(Sampling(1.0, i) for i in range(32)))
    shards = engine.run_shards(requests)
    first = next(shards)
    with pytest.raises(InputError, match="one set of requests at a time"):
        next(engine.run_shards(requests))
    shards.close()
    local = rolled(LocalEngine(engine.model), requests)
    assert all(local[i] == rollout for i, rollout in first.items())
    assert len(first) < len(requests)
    assert rolled(engine, requests[:4]) == local[:4]


def test_an_edit_whose_hook_does_nothing_is_refused_and_named(
    engine: "VllmEngine", asked_of: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm.hooks import Steering

    monkeypatch.setattr(Steering, "_is_here", lambda self, edit: False)
    requests = asked_of(engine.model, [(DOSE,)])
    with pytest.raises(EngineError, match=r"add\(L3.N54\+, 9\): vLLM edited 0 tokens where \d+"):
        list(engine.run_shards(requests))


def test_an_engine_that_would_run_unsteered_is_refused_at_its_start(
    engine: "VllmEngine", monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm import probe
    from fulcra.engines.vllm.hooks import Steering

    monkeypatch.setattr(Steering, "_group", spoiled(Steering._group))
    with pytest.raises(ModelError, match=r"runs unsteered: add\(L0.N0\+, \S+\) does not act"):
        probe.require_steered(engine, engine.model)


def spoiled(group: Any) -> Any:
    """Groups whose edits change nothing, though they are counted."""

    def unchanged(self: Any, part: Any) -> Any:
        made = group(self, part)
        made.affine = torch.tensor([[1.0, 0.0]]).repeat(len(made.tokens), 1)
        return made

    return unchanged


def test_other_weights_than_the_models_are_refused_at_the_start(
    engine: "VllmEngine", monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.engines.vllm import probe

    final = engine.model.hf.get_output_embeddings().weight
    monkeypatch.setattr(final, "data", final.data * 1.1)
    with pytest.raises(ModelError, match="gives other logits without any edit"):
        probe.require_steered(engine, engine.model)


def test_edits_that_vllm_cannot_express_are_refused_before_anything_runs(
    engine: "VllmEngine", written: Direction, asked_of: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = asked_of(engine.model, [(ablate_direction(written), add(written, alpha=1.0))])
    with pytest.raises(InputError, match="act in an order that vLLM's blocks leave open"):
        next(engine.run_shards(mixed))
    monkeypatch.setattr(engine, "unfit", {"mlp": "vLLM moves logits otherwise"})
    with pytest.raises(InputError, match=r"^add_mlp\(L2.direction, 2\): vLLM moves logits"):
        next(engine.run_shards(asked_of(engine.model, [(add_mlp(written, 2.0),)])))


def test_texts_longer_than_the_engine_was_started_for_are_refused(
    engine: "VllmEngine", monkeypatch: pytest.MonkeyPatch
) -> None:
    config = engine.llm.llm_engine.vllm_config.model_config
    assert config.max_model_len == engine.model.context
    monkeypatch.setattr(config, "max_model_len", 16)
    with pytest.raises(InputError, match="of 24 tokens: the vLLM engine has room for 16"):
        next(engine.run_shards([RolloutRequest((1, 5, 6, 7), (), 20)]))


def test_no_function_travels_and_no_cache_is_shared(engine: "VllmEngine") -> None:
    import os

    config = engine.llm.llm_engine.vllm_config
    assert "VLLM_ALLOW_INSECURE_SERIALIZATION" not in os.environ
    assert config.cache_config.enable_prefix_caching is False
    assert config.model_config.enforce_eager
    assert engine.settings == {"version": engine.version, "tensor_parallel": 1, "length": None}


def test_threads_may_be_set_beside_it(engine: "VllmEngine") -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)
