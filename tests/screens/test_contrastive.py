"""The contrastive screen finds the neuron that was wired to the word of one side."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from fulcra import Behavior, Model, contrastive
from fulcra.errors import BehaviorError
from fulcra.models.activations import mean_activations
from fulcra.screens.contrastive import activation_gaps
from tests.screens.conftest import INDEX, Plant, behavior

POSITIVE = ["the cat near the river", "the king waits near the river", "the dogs near the river"]
NEGATIVE = ["the cat near the mill", "the king waits near the mill", "the dogs near the mill"]


@pytest.fixture
def model(planted: Callable[[Plant], Model], sparse: Model) -> Model:
    (word,) = sparse.reply_ids("river")

    def wire(hf: LlamaForCausalLM) -> None:
        first = hf.model.layers[0]
        first.self_attn.o_proj.weight.zero_()  # so that the first MLP reads the word alone
        row = hf.model.embed_tokens.weight[word]
        first.mlp.gate_proj.weight[INDEX] = first.mlp.up_proj.weight[INDEX] = 3 * row / row.norm()

    return planted(wire)


def test_the_planted_neuron_has_the_largest_gap_and_is_pushed_away_from_the_undosed_side(
    model: Model,
) -> None:
    task = behavior(POSITIVE, NEGATIVE)
    shown, flipped = (
        contrastive(model, replace(task, selection=side)).top(1)[0]
        for side in (task.positive, task.negative)
    )
    assert (shown.layer, shown.index, shown.pole) == (0, INDEX, -1)
    assert flipped == shown.opposite


def test_exchanging_the_sides_exchanges_the_poles(model: Model) -> None:
    ranking = contrastive(model, behavior(POSITIVE, NEGATIVE))
    exchanged = contrastive(model, behavior(NEGATIVE, POSITIVE))
    assert [branch.opposite for branch in ranking.branches] == list(exchanged.branches)
    assert ranking.scores == exchanged.scores


def test_every_neuron_is_ranked_once_by_falling_score(model: Model) -> None:
    ranking = contrastive(model, behavior(POSITIVE, NEGATIVE))
    assert (
        len({branch.site for branch in ranking.branches})
        == len(ranking.branches)
        == model.n_layers * model.d_mlp
    )
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)


def test_a_gap_is_the_difference_of_means_whatever_is_in_the_batch(model: Model) -> None:
    positive, negative = (
        [model.prompt_ids(text) for text in texts] for texts in (POSITIVE, NEGATIVE)
    )
    alone = torch.stack([mean_activations(model, [ids]) for ids in positive]).mean(0)
    assert torch.allclose(mean_activations(model, positive), alone, atol=1e-5)
    gaps = activation_gaps(model, behavior(POSITIVE, NEGATIVE))
    assert torch.allclose(gaps, alone - mean_activations(model, negative), atol=1e-5)


def test_one_side_alone_is_refused(model: Model, refusal: Behavior) -> None:
    with pytest.raises(BehaviorError, match="needs positive and negative prompts; give both"):
        contrastive(model, behavior(POSITIVE, []))
