"""Rollouts in slots are those of the plain engine, whatever the order and number of slots."""

import copy
import gc
import random
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from fulcra.engines import continuous_batching, memory, slots
from fulcra.engines.continuous_batching import unfit
from fulcra.engines.local import run, run_shards
from fulcra.engines.slot_doses import Doses
from fulcra.engines.slots import Slots
from fulcra.errors import InputError
from fulcra.models import (
    Model,
    ablate_direction,
    add,
    add_mlp,
    anchor,
    applied_rows,
    load,
    pin,
    scale,
)
from fulcra.models.families import FAMILIES
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edit, Edits, RolloutRequest, Sampling
from tests.engines.test_local import reference

DENSE = tuple(name for name, family in FAMILIES.items() if family.experts is None)

# torch's compiler warns of its own parts when it is first imported
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def compiled(model: Model) -> Model:
    """The same model, decoded in slots; its modules are copied: no test sees slots of another."""
    hf = copy.deepcopy(model.hf, {id(tensor): tensor for tensor in model.hf.parameters()})
    return Model(model.name, hf, model.tokenizer, model.folder, model.thinking, compiled=True)


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The step traced whole and run as it is; refusals are errors, and so is a second trace."""
    monkeypatch.setattr(slots, "BACKEND", "eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most eight slots, so that rows wait for one another."""
    monkeypatch.setattr(continuous_batching, "SLOTS", 8)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if "not compiled" in (text := record.getMessage())]


def test_rollouts_in_slots_equal_those_of_the_plain_engine(
    model: Model, sampled: list[RolloutRequest], few: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(compiled(model), sampled) == run(model, sampled)
    assert not complaints(caplog)


def test_rollouts_in_slots_equal_one_at_a_time_generate(
    model: Model, requests: list[RolloutRequest], few: None
) -> None:
    third = requests[::3]
    for request, rollout in zip(third, run(compiled(model), third), strict=True):
        tokens, tie = reference(model, request)
        assert list(rollout.tokens[:tie]) == tokens[:tie]


def small_requests(model: Model) -> list[RolloutRequest]:
    """Every kind of edit on prompts of several lengths, several horizons, greedy and drawn."""
    first, second, third = (model.neuron(layer, 1 + layer) for layer in range(3))
    u, w = (Direction(layer, "u", torch.linspace(-1, 1, model.d_model)) for layer in (0, 2))
    edits: list[Edits] = [
        (),
        (add(first, alpha=3.0), scale(third, -1.0)),
        (pin(second, 2.0), add(model.neuron(1, 9), alpha=-3.0)),
        *((add(second, alpha=4.0, positions=where),) for where in ("prompt", "generated", "last")),
        (add(u, alpha=0.5), add(w, alpha=0.3), add_mlp(u, 0.4)),
        (ablate_direction(w),),
        (anchor(second, 3.0, 0.4, k=2.0),),
    ]
    prompts = [(5, 6, 7), (8, 9, 10, 11, 12), (5, 6, 7, 13)]
    pairs = [(prompt, edit) for edit in edits for prompt in prompts]
    return [
        RolloutRequest(p, e, (9, 1, 4)[i % 3], Sampling(0.8, i) if i % 4 == 0 else Sampling())
        for i, (p, e) in enumerate(pairs)
    ]


def greedy_requests(model: Model) -> list[RolloutRequest]:
    """The same, none of them drawn: one program less to trace."""
    return [replace(request, sampling=Sampling()) for request in small_requests(model)]


@pytest.mark.parametrize("size", [1, 4, 32])
def test_neither_the_number_of_slots_nor_the_order_matters(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuous_batching, "SLOTS", size)
    model = tiny("llama")
    twin, requests = compiled(model), small_requests(model)
    expected = run(model, requests)
    for seed in range(2):
        order = random.Random(seed).sample(range(len(requests)), len(requests))
        assert run(twin, [requests[i] for i in order]) == [expected[i] for i in order]


@pytest.mark.parametrize("family", DENSE)
def test_every_dense_family_says_the_same_in_slots(
    family: str, few: None, caplog: pytest.LogCaptureFixture
) -> None:
    # windows of six tokens: half of a row lies outside
    model = tiny(family)
    requests = [replace(request, horizon=9) for request in greedy_requests(model)]
    assert run(compiled(model), requests) == run(model, requests)
    assert not complaints(caplog)


def test_a_mixture_of_experts_runs_as_it_is_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny("mixtral")
    requests = [
        RolloutRequest((5, 6, 7), edits, 4) for edits in ((), (add(model.neuron(1, 2), alpha=2.0),))
    ]
    assert run(compiled(model), requests) == run(model, requests)
    assert complaints(caplog) == [
        "tiny-mixtral: its rollouts are not compiled, and run as they are: the shapes of a mixture"
        " of experts follow its routing"
    ]


def test_an_attention_that_takes_no_mask_of_numbers_is_named() -> None:
    model = tiny("llama")
    model.hf.config._attn_implementation = "flex_attention"
    assert unfit(model) == "its attention is 'flex_attention'; load it with 'sdpa' or 'eager'"


def test_weights_kept_elsewhere_are_named(tmp_path: Path) -> None:
    tiny("llama").hf.save_pretrained(tmp_path / "saved", max_shard_size="30KB")
    tiny("llama").tokenizer.save_pretrained(tmp_path / "saved")
    spread = load(
        str(tmp_path / "saved"),
        device="auto",
        memory={"cpu": 40_000},
        offload_folder=tmp_path / "disk",
        compiled=True,
    )
    assert spread.compiled
    assert unfit(spread) == "its weights are spread over several devices"


def test_new_doses_neurons_and_rows_compile_nothing(few: None) -> None:
    model = compiled(tiny("qwen3"))

    def drawn(seed: int) -> list[RolloutRequest]:
        rng = random.Random(seed)
        site = model.neuron(rng.randrange(3), rng.randrange(40))
        return [
            RolloutRequest(
                (5, *range(6, 6 + rng.randrange(9))), (add(site, alpha=rng.random()),), 5
            )
            for _ in range(11 + seed)
        ]

    run(model, drawn(0))
    graphs = counters["stats"]["unique_graphs"]
    for seed in range(1, 4):
        run(model, drawn(seed))
    assert counters["stats"]["unique_graphs"] == graphs


def test_a_row_that_is_not_finite_spoils_no_row_after_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(continuous_batching, "SLOTS", 2)
    model = tiny("llama")
    endless = Edit(model.neuron(1, 1), "add", float("inf"), None, "generated")
    sound, broken = (RolloutRequest((5, 6, 7), edits, 8) for edits in ((), (endless,)))
    requests = [broken, broken, sound, sound, broken, sound]
    rollouts = run(compiled(model), requests)
    assert rollouts == run(model, requests)
    assert [rollout.finite for rollout in rollouts] == [False, False, True, True, False, True]
    assert "3 of 6 rows met numbers that are not finite and stay unscored" in caplog.text


@pytest.mark.parametrize("hook", ["_on_neurons", "_on_output"])
def test_a_hook_that_does_not_act_in_the_compiled_step_is_found(
    hook: str, few: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Doses, hook, lambda self, *place: lambda *call: None)
    model = tiny("llama")
    requests = greedy_requests(model)
    assert run(compiled(model), requests) == run(model, requests)
    assert "its rollouts are not compiled" in caplog.text


def test_what_torch_cannot_compile_runs_as_it_is(
    few: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny("llama")
    monkeypatch.setattr(type(model.hf), "forward", breaking(type(model.hf).forward))
    requests = greedy_requests(model)
    assert run(compiled(model), requests) == run(model, requests)
    assert "its rollouts are not compiled, and run as they are: torch.compile: " in caplog.text


def breaking(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that no compiler can follow."""

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        torch._dynamo.graph_break()
        return forward(self, *args, **kwargs)

    return broken


@pytest.mark.parametrize(("where", "calls"), [("step", 9), ("fill", 5)])
def test_memory_that_runs_out_halves_the_slots_and_loses_nothing(
    where: str, calls: int, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, real = list[int](), getattr(Slots, where)

    def cramped(self: Slots, *args: Any) -> Any:
        sizes.append(self.size)
        if self.size > 2 and len(sizes) > calls:
            raise torch.OutOfMemoryError("too many rows")
        return real(self, *args)

    monkeypatch.setattr(Slots, where, cramped)
    model = tiny("llama")
    requests = greedy_requests(model)
    parts = list(run_shards(compiled(model), requests))
    assert {8, 4, 2} == set(sizes)
    assert sorted(i for part in parts for i in part) == list(range(len(requests)))
    expected = run(model, requests)
    assert all(expected[i] == rollout for part in parts for i, rollout in part.items())


def test_one_slot_that_runs_out_of_memory_is_named(
    few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cramped(self: Slots, *args: Any) -> Any:
        raise torch.OutOfMemoryError("too many rows")

    monkeypatch.setattr(Slots, "fill", cramped)
    with pytest.raises(
        InputError, match=r"rollout of 3 \+ 4 tokens: .* ran out of memory with this row alone"
    ):
        run(compiled(tiny("llama")), [RolloutRequest((5, 6, 7), (), 4)])


def test_the_constant_and_free_memory_decide_the_number_of_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, requests = tiny("llama"), [RolloutRequest((5, 6, 7), (), 4)]
    each = memory.row_bytes(model, 3, 128 - 3)
    monkeypatch.setitem(memory.BYTES, "cpu", 9 * each)
    assert memory.slots_together(model, requests, 128, 256) == 8
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(5 * each / memory.FREE_SHARE))
    assert memory.slots_together(model, requests, 128, 256) == 4


def test_hooks_of_another_kind_stay_in_force(few: None, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny("llama")
    twin, requests = compiled(model), greedy_requests(model)[:3]
    outer = (add(model.neuron(2, 5), alpha=6.0),)
    with applied_rows(model, outer, every_row=True):
        expected = run(model, requests)
    with applied_rows(twin, outer, every_row=True):
        assert run(twin, requests) == expected
    assert "hooks of another kind are in force" in caplog.text
    assert run(twin, requests) == run(model, requests) != expected


def test_weights_that_change_between_runs_are_followed(few: None) -> None:
    model = tiny("llama")
    twin, requests = compiled(model), greedy_requests(model)
    run(twin, requests)
    with torch.no_grad():
        twin.down(1).weight.mul_(-1.0)
    assert run(twin, requests) == run(model, requests)
    twin.down(2).weight = torch.nn.Parameter(-2 * model.down(2).weight.detach())
    changed = run(twin, requests)
    model.down(2).weight = twin.down(2).weight
    assert changed == run(model, requests)


def test_a_run_leaves_no_hook_and_slots_go_with_their_model(few: None) -> None:
    model = compiled(tiny("llama"))
    run(model, greedy_requests(model))
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.hf.modules()
    )
    gone = weakref.ref(model.hf)
    del model
    gc.collect()
    assert gone() is None


def test_an_edit_that_never_acts_is_an_error(few: None) -> None:
    model = compiled(tiny("llama"))
    with pytest.raises(InputError, match="never acted"):
        run(
            model,
            [
                RolloutRequest(
                    (5, 6), (add(model.neuron(1, 1), alpha=4.0, positions="generated"),), 1
                )
            ],
        )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_the_step_compiles_to_machine_code(
    few: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "BACKEND", "inductor")
    model = tiny("gemma2")
    requests = greedy_requests(model)
    assert run(compiled(model), requests) == run(model, requests)
    assert not complaints(caplog)
