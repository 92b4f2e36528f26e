"""In every family, requests decoded together are those of transformers' own generate alone."""

import pytest
import torch

from fulcra.engines.engine import run
from fulcra.models import Model, add, applied_rows, pin, scale
from fulcra.types import Edits, Rollout, RolloutRequest
from tests.models.cases import ALL, PROMPTS, model_of, routed_neuron, row_edits

HORIZON = 6


def generated(model: Model, prompt: tuple[int, ...], edits: Edits) -> Rollout:
    """The greedy rollout of one request by transformers alone."""
    ids = torch.tensor([prompt])
    with applied_rows(model, edits, every_row=True):
        tokens = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=HORIZON, do_sample=False
        )[0, len(prompt) :].tolist()
    ended = tokens[-1] in model.end_ids
    return Rollout(tuple(tokens[:-1] if ended else tokens), ended)


@pytest.mark.parametrize("family", ALL)
def test_requests_decoded_together_equal_generate_alone(family: str) -> None:
    model = model_of(family)
    first, second, third = (routed_neuron(model, layer) for layer in range(3))
    edits = [
        *row_edits(model),
        (add(third, alpha=5.0),),
        (pin(second, 3.0),),
        (add(first, alpha=-4.0, positions="generated"),),
        (scale(third, 0.0),),
    ]
    requests = [RolloutRequest(prompt, edit, HORIZON) for edit in edits for prompt in PROMPTS]
    assert run(model, requests) == [
        generated(model, request.prompt, request.edits) for request in requests
    ]
