"""TransformerLens reads, under fulcra's names, what fulcra reads, and doses as fulcra doses."""

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from fulcra import Model, load, read
from fulcra.interop.caches import activations_of, cache_of
from fulcra.interop.doses import doses_of
from fulcra.interop.sites import lens_neuron, lens_site
from fulcra.models import add, applied_rows, pin, scale
from fulcra.types import Edit, Neuron
from tests.interop.conftest import GATE, PROMPT, Made

needs_lens = pytest.importorskip(
    "transformer_lens.model_bridge",
    reason="needs TransformerLens 4: pip install 'transformer-lens>=4'",
    exc_type=ImportError,
)
pytestmark = pytest.mark.filterwarnings("ignore")
#: Its blocks reshape otherwise, so that sums differ in their last digits.
NEAR = {"rtol": 1e-5, "atol": 1e-4}


def bridge(model: Model) -> Any:
    """The library's own model over the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return needs_lens.TransformerBridge.boot_transformers(
            model.name, hf_model=model.hf, tokenizer=model.tokenizer
        )


@pytest.fixture(scope="module")
def lens(sparse: Model) -> Any:
    return bridge(sparse)


@pytest.fixture(scope="module")
def ids(sparse: Model) -> Tensor:
    return torch.tensor([sparse.prompt_ids(PROMPT, chat=False)])


def test_every_neuron_is_read_alike_in_both_directions(
    sparse: Model, lens: Any, ids: Tensor
) -> None:
    own = cache_of(sparse, ids[0].tolist())
    _, cache = lens.run_with_cache(ids)
    for name, values in own.items():
        torch.testing.assert_close(values, cache[name].detach(), **NEAR)
    neurons = [lens_neuron(*lens_site(Neuron(layer, 11 * layer))) for layer in range(8)]
    expected = read(sparse, neurons, [PROMPT])
    back = activations_of(cache, neurons, expected.tokens[0])
    torch.testing.assert_close(back.values[0], expected.values[0], **NEAR)


def test_a_cache_of_fulcra_is_one_of_the_library(sparse: Model, lens: Any, ids: Tensor) -> None:
    from transformer_lens import ActivationCache

    cache = ActivationCache(cache_of(sparse, ids[0].tolist()), lens)
    assert cache["post", 2].shape == (1, ids.shape[1], 384)
    torch.testing.assert_close(cache["post", 2], cache["blocks.2.mlp.hook_post"])


@pytest.mark.parametrize(
    "edits",
    [(GATE,), (scale(Neuron(2, 307), -3.0), add(Neuron(5, 7), alpha=2.5))],
    ids=["add", "two layers"],
)
def test_a_recipe_gives_the_same_logits_there(
    sparse: Model, lens: Any, ids: Tensor, made: Made, edits: Sequence[Edit]
) -> None:
    with torch.no_grad(), applied_rows(sparse, [tuple(edits)]):
        expected = sparse.hf(ids).logits
    with torch.no_grad():
        clean = sparse.hf(ids).logits
        dosed = lens.run_with_hooks(ids, fwd_hooks=doses_of(sparse, made(*edits)))
    torch.testing.assert_close(dosed, expected, **NEAR)
    assert float((dosed - clean).abs().max()) > 0.1


def test_an_edit_of_the_library_is_the_add_of_fulcra(sparse: Model, lens: Any, ids: Tensor) -> None:
    hook, column = lens_site(GATE.site)  # type: ignore[arg-type]

    def adds(values: Tensor, hook: object) -> Tensor:
        values[..., column] += GATE.value
        return values

    with torch.no_grad():
        dosed = lens.run_with_hooks(ids, fwd_hooks=[(hook, adds)])
    with torch.no_grad(), applied_rows(sparse, [(GATE,)]):
        torch.testing.assert_close(sparse.hf(ids).logits, dosed, **NEAR)


@pytest.mark.parametrize("family", ["qwen3", "gemma2", "gpt2"])
def test_other_families_keep_their_neurons_under_the_same_name(family: str, made: Made) -> None:
    model = load(f"apothecary-{family}-sparse")
    ids = torch.tensor([model.prompt_ids(PROMPT, chat=False)])
    lens = bridge(model)
    own = cache_of(model, ids[0].tolist())
    _, cache = lens.run_with_cache(ids)
    for name, values in own.items():
        torch.testing.assert_close(values, cache[name].detach(), **NEAR)
    held = pin(Neuron(1, 3), 4.0)
    recipe = made(held).model_copy(
        update={"model": made().model.model_copy(update={"sha256": model.sha256})}
    )
    with torch.no_grad(), applied_rows(model, [(held,)]):
        expected = model.hf(ids).logits
    with torch.no_grad():
        dosed = lens.run_with_hooks(ids, fwd_hooks=doses_of(model, recipe))
    torch.testing.assert_close(dosed, expected, **NEAR)
