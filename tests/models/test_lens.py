"""The lens of a write: the final norm and unembedding by hand, and what a write along an
unembedding row promotes.
"""

import pytest
import torch

from fulcra.models.lens import write_logits
from fulcra.models.tiny import tiny
from fulcra.types import Neuron
from tests.models.cases import ALL, MIXTURES, model_of


@pytest.mark.parametrize("pole", [1, -1])
def test_the_lens_is_the_normed_write_through_the_unembedding(pole: int) -> None:
    model, neuron = tiny("llama"), Neuron(1, 7, pole)
    write = model.hf.model.layers[1].mlp.down_proj.weight[:, 7].double() * pole
    normed = (
        model.hf.model.norm.weight.double()
        * write
        / (write.square().mean() + model.config.rms_norm_eps).sqrt()
    )
    expected = (model.hf.lm_head.weight.double() @ normed).detach().float()
    torch.testing.assert_close(write_logits(model, neuron), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", sorted(set(ALL) - set(MIXTURES)))
def test_the_size_of_a_write_does_not_change_what_it_says_and_the_other_pole_says_the_opposite(
    family: str,
) -> None:
    model, neuron = model_of(family), Neuron(1, 7)
    logits = write_logits(model, neuron)
    torch.testing.assert_close(write_logits(model, neuron.opposite), -logits, atol=2e-3, rtol=1e-3)
    assert logits.abs().max() > 0


def test_a_write_along_an_unembedding_row_promotes_its_token() -> None:
    model = tiny("llama")
    model.hf.model.norm.weight.data.fill_(1.0)
    model.hf.model.layers[2].mlp.down_proj.weight.data[:, 3] = (
        model.hf.lm_head.weight.data[42] / model.hf.lm_head.weight.data[42].norm()
    )
    model.hf.lm_head.weight.data /= model.hf.lm_head.weight.data.norm(dim=-1, keepdim=True)
    assert int(write_logits(model, Neuron(2, 3)).argmax()) == 42
    assert int(write_logits(model, Neuron(2, 3, -1)).argmin()) == 42
