"""The curvature of one clean pass and its gradients is the curvature of the divergence that small
shifts measure.
"""

import pytest
import torch

from fulcra.formulas.divergence import kl_nats
from fulcra.models.applying import applied_rows
from fulcra.models.fisher import fisher_factors
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edit

PROMPTS, REPLIES = [(1, 5, 9), (1, 7)], [(11, 4, 8, 20), (6, 3)]


@pytest.mark.parametrize(
    "model_type", ["llama", "gpt2", pytest.param("gemma2", marks=pytest.mark.slow)]
)
def test_curvature_is_that_of_small_doses(model_type: str) -> None:
    model = tiny(model_type)
    factors = fisher_factors(model, PROMPTS, REPLIES, draws=4000)
    for layer in range(model.n_layers):
        vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(layer))
        vector = vector / vector.norm()
        nats = []
        for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
            ids, span = torch.tensor([prompt + reply]), slice(len(prompt) - 1, -1)
            with torch.no_grad():
                clean = model.hf(ids).logits[0, span].double()
                with applied_rows(
                    model, [(Edit(Direction(layer, "v", vector), "add_vector", 0.02),)]
                ):
                    nats.append(kl_nats(clean, model.hf(ids).logits[0, span].double()))
        measured = 2 * float(torch.cat(nats).mean()) / 0.02**2
        assert float((factors[layer] @ vector).square().sum()) == pytest.approx(measured, rel=0.1)


def test_the_model_is_left_as_it_came() -> None:
    model = tiny("llama")
    before = model.sha256
    fisher_factors(model, PROMPTS, REPLIES, draws=1)
    assert all(parameter.grad is None for parameter in model.hf.parameters())
    assert not any(block._forward_hooks for block in model.blocks)
    del model.__dict__["sha256"]
    assert model.sha256 == before


def test_draws_are_decided_by_their_seed() -> None:
    model = tiny("llama")
    first, again, other = (
        fisher_factors(model, PROMPTS, REPLIES, draws=2, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (model.n_layers, 2 * len(PROMPTS), model.d_model)
