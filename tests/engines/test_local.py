"""Rollouts are those of one-at-a-time generate, whatever else is in the batch."""

import pytest
import torch

from fulcra.engines.decoding import decode, shared
from fulcra.engines.engine import run, run_shards
from fulcra.errors import InputError
from fulcra.models import Model, add, applied_rows
from fulcra.types import Edit, Neuron, Rollout, RolloutRequest

#: Below this gap between the two best logits float noise may decide; what comes after such a
#: position is not compared.
GAP = 1e-4


def reference(model: Model, request: RolloutRequest) -> tuple[list[int], int]:
    """Greedy tokens of transformers' own generate, and the first position that is a near tie."""
    ids = torch.tensor([request.prompt])
    with torch.no_grad(), applied_rows(model, [request.edits]):
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=request.horizon,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    top = torch.stack(out.logits)[:, 0].topk(2, dim=-1).values
    ties = (top[:, 0] - top[:, 1] < GAP).nonzero()[:, 0].tolist()
    return [
        t for t in out.sequences[0, len(request.prompt) :].tolist() if t not in model.end_ids
    ], (ties[0] if ties else request.horizon)


def hooks(model: Model) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.hf.modules())


def test_rollouts_equal_one_at_a_time_generate(
    model: Model, requests: list[RolloutRequest]
) -> None:
    ties = 0
    for request, rollout in zip(requests, run(model, requests), strict=True):
        tokens, tie = reference(model, request)
        ties += tie < request.horizon
        assert list(rollout.tokens[:tie]) == tokens[:tie]
        assert rollout.ended == (len(tokens) < request.horizon) or tie < request.horizon
    assert ties <= 1


def test_batch_equals_singles(model: Model, sampled: list[RolloutRequest]) -> None:
    assert run(model, sampled) == [run(model, [request])[0] for request in sampled]


def test_sampling_does_not_depend_on_the_batch(model: Model, sampled: list[RolloutRequest]) -> None:
    whole = run(model, sampled)
    assert run(model, sampled[::-1]) == whole[::-1]
    assert run(model, sampled[5:20]) == whole[5:20]


def test_sharing_below_the_edit_changes_nothing(
    model: Model, sampled: list[RolloutRequest]
) -> None:
    assert shared(model) == "write"
    assert (
        decode(model, sampled, "write")
        == decode(model, sampled, "block")
        == decode(model, sampled, "none")
    )


@pytest.mark.parametrize("leaving", [0.0, 2.0])
def test_rows_that_leave_change_nothing(
    model: Model, sampled: list[RolloutRequest], leaving: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(model, sampled)
    monkeypatch.setattr("fulcra.engines.decoding.LEAVING", leaving)
    assert run(model, sampled) == expected


def test_shards_together_hold_every_request_once(
    model: Model, requests: list[RolloutRequest]
) -> None:
    places = [i for shard in run_shards(model, requests) for i in shard]
    assert sorted(places) == list(range(len(requests)))


def test_no_requests_no_rollouts(model: Model) -> None:
    assert run(model, []) == []


def test_a_row_that_is_not_finite_is_marked_and_leaves_the_others_alone(
    model: Model, prompts: list[tuple[int, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    sound = RolloutRequest(prompts[0], (), 8)
    broken = RolloutRequest(prompts[0], (Edit(Neuron(3, 1), "add", float("inf")),), 8)
    first, second, third = run(model, [sound, broken, sound])
    assert not second.finite
    assert (
        "1 of 3 rows met numbers that are not finite and stay unscored; the first at L3.N1 under"
        " add(L3.N1+, inf)" in caplog.text
    )
    assert first == third == run(model, [sound])[0]
    assert first.finite


def test_hooks_are_gone_afterwards_and_after_an_exception(
    model: Model, prompts: list[tuple[int, ...]]
) -> None:
    before = hooks(model)
    run(model, [RolloutRequest(prompts[0], (add(Neuron(3, 1), alpha=4.0),), 3)])
    assert hooks(model) == before
    with pytest.raises(InputError, match="has layers"):
        run(model, [RolloutRequest(prompts[0], (add(Neuron(99, 1), alpha=4.0),), 3)])
    with pytest.raises(IndexError):
        run(model, [RolloutRequest((10**6,), (add(Neuron(3, 1), alpha=4.0),), 3)])
    assert hooks(model) == before


def test_an_edit_that_never_acts_is_an_error(model: Model, prompts: list[tuple[int, ...]]) -> None:
    with pytest.raises(InputError, match="never acted"):
        run(
            model,
            [RolloutRequest(prompts[0], (add(Neuron(3, 1), alpha=4.0, positions="generated"),), 1)],
        )


def test_a_prompt_longer_than_the_context_is_named(model: Model) -> None:
    with pytest.raises(InputError, match="has a context of 256"):
        run(model, [RolloutRequest((5,) * 250, (), 20)])


def test_an_ended_rollout_holds_no_end_token(model: Model, prompts: list[tuple[int, ...]]) -> None:
    rollout = run(model, [RolloutRequest(prompts[1], (), 40)])[0]
    assert rollout == Rollout(rollout.tokens, True)
    assert not set(rollout.tokens) & model.end_ids
