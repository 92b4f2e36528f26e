"""Budgets and ceilings of one model under other contexts, against the reference condition."""

import pytest
import torch

from fulcra import Model
from fulcra.backtest.contexts import (
    ContextSettings,
    contexts,
    language_openings,
    lengthened,
)
from fulcra.engines.generic import GenericText
from fulcra.models.capture import first_norms, stream


@pytest.mark.slow
def test_every_condition_is_compared_layer_by_layer(sparse: Model) -> None:
    result = contexts(sparse, ContextSettings(lengths=(32, 64), stride=4))
    kinds = [(row.kind, row.name) for row in result.rows]
    assert kinds[:2] == [("context", "32 tokens"), ("context", "64 tokens")]
    assert [name for kind, name in kinds if kind == "language"] == ["en", "fr", "de", "es"]
    assert all(len(row.budgets) == len(result.sink) == sparse.n_layers for row in result.rows)
    assert all(len(row.ceilings) == 4 for row in result.rows)  # two layers, both poles
    assert all(ratio > 0 for row in result.rows for ratio in row.budgets)
    assert len(result.lines()) == 6


def test_a_context_is_as_long_as_it_says_and_the_replies_stay(sparse: Model) -> None:
    replies = tuple(sparse.reply_ids("the cook drinks the tea and") for _ in range(4))
    text = GenericText(tuple(sparse.prompt_ids("hello") for _ in range(4)), replies)
    longer = lengthened(sparse, text, 64)
    assert longer.replies == text.replies[: len(longer.prompts)]
    for prompt in longer.prompts:
        assert len(prompt) == pytest.approx(64, abs=32)


def test_the_norm_of_the_first_token_is_that_of_its_block_outputs(sparse: Model) -> None:
    prompt = sparse.prompt_ids("hello")
    alone = stream(sparse, [()], [(prompt[0], prompt[0])])
    assert first_norms(sparse, [prompt]).shape == alone.norm.shape
    twice = first_norms(sparse, [prompt, prompt])
    assert torch.allclose(twice, first_norms(sparse, [prompt]), rtol=1e-4)


def test_the_same_openings_stand_in_four_languages() -> None:
    openings = language_openings()
    assert [*openings] == ["en", "fr", "de", "es"]
    assert {len(lines) for lines in openings.values()} == {8}
