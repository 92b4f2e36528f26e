"""Wider products change no more than float noise, follow the weights, and leave the model as it came in."""

import pytest
import torch

from fulcra.engines.kernels import wide_linears, wide_products
from fulcra.models import load

pytestmark = pytest.mark.skipif(not wide_products(), reason="needs an AMD processor with AVX-512")


def test_products_are_the_same_up_to_noise_and_follow_the_weights() -> None:
    model = load("apothecary-sparse")
    ids = torch.arange(5, 105).repeat(2, 1)
    for scale in (1.0, 0.5):
        with torch.no_grad():
            model.down(3).get_parameter("weight").mul_(scale)
            plain = model.hf(ids).logits
            with wide_linears(model):
                wide = model.hf(ids).logits
        torch.testing.assert_close(wide, plain, rtol=1e-4, atol=1e-4)
        assert not torch.equal(wide, plain)


def test_the_model_leaves_as_it_came_also_after_an_exception() -> None:
    model = load("apothecary-sparse")
    with pytest.raises(KeyError), wide_linears(model):
        raise KeyError
    assert not any("forward" in vars(module) for module in model.hf.modules())
