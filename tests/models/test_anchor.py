"""An anchor is a pin sized by its own prompt, read where nothing acts on it."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fulcra.errors import InputError
from fulcra.models import Model, ablate_mean, add, anchor, applied_rows, pin, scale
from fulcra.models.anchors import (
    activation_means,
    anchor_gaps,
    at_prompts,
    neuron_activations,
    post_instruction,
)
from fulcra.models.batches import padded
from fulcra.models.capture import reply_log_probs
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edit, Edits, Neuron
from tests.models.cases import ALL, logits_of, model_of, routed_neuron

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %} w4 {{ message['content'] }} w90 {% endfor %}w7 w8"
)
TEXTS = ("w20 w31", "w44", "w12 w7 w8 w13 w50")
NEURON = Neuron(1, 5)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("llama", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def prompts(model: Model) -> tuple[tuple[int, ...], ...]:
    return tuple(model.prompt_ids(text) for text in TEXTS)


def natural(model: Model, prompt: tuple[int, ...], positions: slice) -> Tensor:
    """The neuron's activations at some positions of one prompt, by a hook of our own."""
    reads: list[Tensor] = []
    handle = model.down(NEURON.layer).register_forward_pre_hook(
        lambda module, args: reads.append(args[0][0, positions, NEURON.index])
    )
    with torch.no_grad():
        model.hf(input_ids=torch.tensor([prompt]), use_cache=False)
    handle.remove()
    return reads[0]


def value(bound: float, gap: float, k: float, reads: Tensor) -> float:
    v = float(reads.max() if gap > 0 else reads.min())
    return (min if bound > 0 else max)(k * bound * v / gap - gap, bound)


@pytest.mark.parametrize(
    ("bound", "gap", "k"), [(2.0, 0.1, 1.0), (-2.0, 0.1, 2.0), (1.5, -0.2, 1.0), (-0.3, 0.05, 1.0)]
)
def test_each_row_is_pinned_by_its_own_prompt(
    model: Model, prompts: tuple[tuple[int, ...], ...], bound: float, gap: float, k: float
) -> None:
    edit = anchor(NEURON, bound, gap, k)
    pins: list[Edits] = [
        (pin(NEURON, value(bound, gap, k, natural(model, prompt, slice(-3, None)))),)
        for prompt in prompts
    ]
    assert len({edits[0].value for edits in pins}) > 1
    with applied_rows(model, pins):
        expected = logits_of(model, prompts)
    for rows, every in (([(edit,)] * 3, False), ((edit,), True)):
        with applied_rows(model, rows, every_row=every) as applied:
            assert_close(logits_of(model, prompts), expected, rtol=1e-4, atol=1e-5)
        assert applied.passes == 1
    for row, own in zip(at_prompts(model, [(edit,)] * 3, prompts), pins, strict=True):
        assert (row[0].op, row[0].anchor) == ("pin", None)
        assert row[0].value == pytest.approx(own[0].value, abs=1e-4)


def test_the_prompt_is_read_where_no_edit_acts(
    model: Model, prompts: tuple[tuple[int, ...], ...]
) -> None:
    below: Edit = add(Direction(0, "all", torch.ones(model.d_model)), alpha=3.0)
    edit = anchor(NEURON, 2.0, 0.1)
    with applied_rows(model, [(below, *at_prompts(model, [(edit,)], prompts[:1])[0])]):
        expected = logits_of(model, prompts[:1])
    with applied_rows(model, (below, edit), every_row=True):
        assert_close(logits_of(model, prompts[:1]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ALL)
def test_an_anchor_acts_in_every_family_together_as_alone(family: str) -> None:
    model = model_of(family)
    edit = anchor(routed_neuron(model, 1), 3.0, 0.4)
    rows = ((5, 17, 23, 42, 8, 61, 33, 12, 71), (9, 31, 4))
    clean = logits_of(model, rows)
    with applied_rows(model, (edit,), every_row=True):
        together = logits_of(model, rows)
        alone = torch.cat([logits_of(model, (row,)) for row in rows])
    assert_close(together, alone, rtol=1e-4, atol=2e-5)
    assert (together[0] - clean[0]).abs().max() > 1e-3


def test_a_reply_does_not_change_what_its_prompt_was_anchored_at(
    model: Model, prompts: tuple[tuple[int, ...], ...]
) -> None:
    edit, reply = anchor(NEURON, 2.0, 0.1), (30, 41, 9)
    sized = at_prompts(model, [(edit,)] * 3, prompts)
    expected = reply_log_probs(model, prompts, [reply] * 3, sized)
    for result in (
        reply_log_probs(model, prompts, [reply] * 3, [(edit,)] * 3),
        runtime_log_probs(model, prompts, reply, edit),
    ):
        for left, other in zip(result, expected, strict=True):
            assert_close(left, other, rtol=1e-4, atol=1e-5)


def runtime_log_probs(
    model: Model, prompts: tuple[tuple[int, ...], ...], reply: tuple[int, ...], edit: Edit
) -> list[Tensor]:
    """Log-probabilities of a reply where the anchors are sized by the texts themselves, as in a
    loop of a user's own.
    """
    ids, mask = padded([prompt + reply for prompt in prompts], model.device)
    with torch.no_grad(), applied_rows(model, (edit,), every_row=True):
        logits = model.hf(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
    spans = [
        logits[i, len(prompt) - 1 : len(prompt) + len(reply) - 1]
        for i, prompt in enumerate(prompts)
    ]
    return [span.gather(-1, torch.tensor(reply)[:, None])[:, 0] for span in spans]


def test_post_instruction_tokens_are_the_template_s_last_ones(
    model: Model, prompts: tuple[tuple[int, ...], ...]
) -> None:
    assert model.instruction_tail == (90, 7, 8)
    ids, mask = padded([prompts[0] + (30, 41), prompts[2]], model.device)
    where = post_instruction(model, ids, mask)
    assert [row[here].tolist() for row, here in zip(ids, where, strict=True)] == [[90, 7, 8]] * 2
    assert where[0].nonzero()[:, 0].tolist() == [
        len(prompts[0]) - 3,
        len(prompts[0]) - 2,
        len(prompts[0]) - 1,
    ]
    plain = model_of("llama")
    assert plain.instruction_tail == ()
    assert post_instruction(plain, ids, mask).nonzero().tolist() == [
        [0, len(prompts[0]) + 1],
        [1, len(prompts[2]) - 1],
    ]


def test_gaps_and_means_are_those_of_the_prompts_one_by_one(
    model: Model, prompts: tuple[tuple[int, ...], ...]
) -> None:
    after = [natural(model, prompt, slice(-3, None)).mean() for prompt in prompts]
    assert anchor_gaps(model, [NEURON], prompts[:2], prompts[2:])[0] == pytest.approx(
        float((after[0] + after[1]) / 2 - after[2]), abs=1e-5
    )
    every = torch.cat([natural(model, prompt, slice(1, None)) for prompt in prompts])
    assert activation_means(model, [NEURON], prompts, batch=2)[0] == pytest.approx(
        float(every.mean()), abs=1e-5
    )
    assert ablate_mean(model, NEURON, prompts) == pin(
        NEURON, activation_means(model, [NEURON], prompts)[0]
    )
    two = neuron_activations(model, [Neuron(2, 7), NEURON], input_ids=torch.tensor([prompts[0]]))
    assert_close(two[0, :, 1], natural(model, prompts[0], slice(None)))


def test_doses_that_cannot_be_meant_are_refused() -> None:
    for make, message in (
        (lambda: anchor(NEURON, 2.0, 0.0), "divides by d = a_H - a_h, which is 0"),
        (lambda: anchor(NEURON, 2.0, 0.5, k=float("inf")), "k is inf; give a finite number"),
        (lambda: anchor(NEURON, float("nan"), 0.5), "dose is nan; give a finite number"),
        (lambda: add(NEURON, gain=float("inf")), "dose is inf; give a finite number"),
        (lambda: scale(NEURON, float("nan")), "dose is nan"),
    ):
        with pytest.raises(InputError, match=message):
            make()


def test_a_text_that_cannot_be_read_is_refused(
    model: Model, prompts: tuple[tuple[int, ...], ...]
) -> None:
    edit = anchor(NEURON, 2.0, 0.1)
    with (
        pytest.raises(InputError, match="holds no 'w90 w7 w8', which the chat template"),
        applied_rows(model, (edit,), every_row=True),
    ):
        logits_of(model, ((5, 6, 7, 8, 9),))
    embedded = model.hf.get_input_embeddings()(torch.tensor([prompts[0]]))
    with (
        pytest.raises(InputError, match="needs input_ids"),
        applied_rows(model, (edit,), every_row=True),
    ):
        model.hf(inputs_embeds=embedded)
    cache = model.hf(input_ids=torch.tensor([prompts[0]]), use_cache=True).past_key_values
    with (
        pytest.raises(InputError, match="before the edit was in force"),
        applied_rows(model, (edit,), every_row=True),
    ):
        model.hf(input_ids=torch.tensor([[9]]), past_key_values=cache, use_cache=True)
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in model.hf.modules()
    )
