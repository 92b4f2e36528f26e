"""Steering tells the truth about doses, streams what the engine says, hides sensitive texts."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.behaviors import behavior_sha256
from fulcra.engines.engine import run
from fulcra.models import add, anchor, pin, scale
from fulcra.models.anchors import neuron_activations
from fulcra.protocol.redaction import text_hash
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.studies.recipe import PredictedWindow, Recipe, RecipeBehavior, RecipeModel
from fulcra.studies.steering import TextPair, doses, replies, steered
from fulcra.types import Edge, Edit, Neuron, RolloutRequest, Sampling

GATE = Neuron(2, 307)


def recipe(model: Model, *edits: Edit) -> Recipe:
    ceiling = predicted_entry(Edge(1.0, "kl_ladder", 2))
    windows = tuple(
        PredictedWindow(branch=name, budget=2.0, ceiling=ceiling)
        for name in ("L2.N307+", "L2.N307-")
    )
    made_for = RecipeModel(name=model.name, sha256=model.sha256)
    return Recipe(name="test", model=made_for, edits=edits, windows=windows)


def test_doses_are_in_gains_along_the_pole_they_push(sparse: Model, refusal: Behavior) -> None:
    ids = sparse.prompt_ids(refusal.confirmation[0].text)
    natural = neuron_activations(sparse, [GATE], input_ids=torch.tensor([ids]))[0, 1:, 0]
    for edit, alphas in (
        (add(GATE, alpha=-3.0), torch.full((1,), -3.0)),
        (scale(GATE, -1.0), -2 * natural),
        (pin(GATE, 4.0), 4.0 - natural),
    ):
        (dose,) = doses(sparse, recipe(sparse, edit), ids)
        pole = 1 if float(alphas.median()) >= 0 else -1
        assert dose.branch == f"L2.N307{'+' if pole > 0 else '-'}"
        assert dose.gain == pytest.approx(float(alphas.quantile(0.5)) * pole / 2.0, rel=1e-4)
        assert dose.gain is not None
        assert dose.low is not None
        assert dose.high is not None
        assert dose.low <= dose.gain <= dose.high
        assert dose.beyond == (dose.gain > 1.0)
    (unknown,) = doses(sparse, recipe(sparse, pin(Neuron(3, 3), 5.0)), ids)
    assert (unknown.gain, unknown.beyond) == (None, False)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.8, 3)])
def test_the_stream_grows_into_what_the_engine_says(
    sparse: Model, refusal: Behavior, sampling: Sampling
) -> None:
    ids = sparse.prompt_ids(refusal.confirmation[0].text)
    made = recipe(sparse, scale(GATE, 0.0), anchor(Neuron(3, 215), -2.0, gap=0.3))
    pairs = list(steered(sparse, made, ids, 12, sampling))
    expected = run(sparse, [RolloutRequest(ids, edits, 12, sampling) for edits in ((), made.edits)])
    assert pairs[-1] == TextPair(*expected)
    assert pairs[-1].undosed != pairs[-1].dosed
    for before, after in pairwise(pairs):
        for earlier, later in zip(before, after, strict=True):
            assert later.tokens[: len(earlier.tokens)] == earlier.tokens
    assert len(pairs[0].undosed.tokens) == 1


def test_a_stream_that_is_left_leaves_no_hook(sparse: Model, refusal: Behavior) -> None:
    pairs = steered(
        sparse,
        recipe(sparse, scale(GATE, 0.0)),
        sparse.prompt_ids(refusal.confirmation[0].text),
        12,
    )
    next(pairs)
    assert any(module._forward_pre_hooks for module in sparse.hf.modules())
    pairs.close()  # type: ignore[attr-defined]
    assert not any(
        module._forward_pre_hooks or module._forward_hooks for module in sparse.hf.modules()
    )


def test_texts_of_a_sensitive_behavior_are_told_by_label_length_and_hash(
    sparse: Model, refusal: Behavior
) -> None:
    prompt = refusal.confirmation[0]
    made = recipe(sparse, pin(GATE, -2.0))
    *_, pair = steered(sparse, made, sparse.prompt_ids(prompt.text), refusal.horizon)
    texts = [sparse.words(rollout.tokens) for rollout in pair]
    shown = replies(sparse, made, refusal, prompt.text, pair)
    assert [reply.told.text for reply in shown] == texts
    assert [reply.outcome for reply in shown] == ["refuse", "actionable"]
    sensitive = RecipeBehavior(name="refusal", sha256=behavior_sha256(refusal), sensitive=True)
    for each, behavior in (
        (made.model_copy(update={"behavior": sensitive}), refusal),
        (made, replace(refusal, sensitive=True)),
    ):
        hidden = replies(sparse, each, behavior, prompt.text, pair)
        assert not any(text in repr(hidden) for text in texts)
        assert [reply.outcome for reply in hidden] == ["refuse", "actionable"]
        assert [reply.told.characters for reply in hidden] == [len(text) for text in texts]
        assert [reply.told.text_hash for reply in hidden] == [
            text_hash(each.sha256, text) for text in texts
        ]


def test_a_prompt_that_the_oracle_cannot_read_is_not_judged(
    sparse: Model, refusal: Behavior
) -> None:
    made = recipe(sparse, scale(GATE, 0.0))
    *_, pair = steered(sparse, made, sparse.prompt_ids("the capital of"), 4)
    assert [reply.outcome for reply in replies(sparse, made, refusal, "the capital of", pair)] == [
        None,
        None,
    ]
