"""nnsight reads, under fulcra's names, what fulcra reads, and doses as fulcra doses."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fulcra import Model, load, read
from fulcra.interop.caches import activations_of, cache_of
from fulcra.interop.doses import doses_of
from fulcra.interop.sites import nnsight_neuron, nnsight_site
from fulcra.models import applied_rows
from fulcra.types import Neuron
from tests.interop.conftest import GATE, PROMPT, Made

nnsight = pytest.importorskip("nnsight", reason="needs nnsight 0.8: pip install 'nnsight>=0.8'")
pytestmark = pytest.mark.filterwarnings("ignore")
NEAR = {"rtol": 1e-5, "atol": 1e-4}


@pytest.fixture(scope="module", params=["apothecary-sparse", "apothecary-gpt2-sparse"])
def model(request: pytest.FixtureRequest) -> Model:
    return load(request.param)


@pytest.fixture(scope="module")
def ids(model: Model) -> Tensor:
    return torch.tensor([model.prompt_ids(PROMPT, chat=False)])


@pytest.fixture(scope="module")
def lm(model: Model) -> Any:
    return nnsight.LanguageModel(model.hf, tokenizer=model.tokenizer)


def test_neurons_are_read_alike_in_both_directions(model: Model, lm: Any, ids: Tensor) -> None:
    naming = partial(nnsight_site, model)
    own = cache_of(model, ids[0].tolist(), naming)
    cache = {}
    for name in own:
        with lm.trace({"input_ids": ids}):
            values = lm.get(name).save()
        cache[name] = values
        torch.testing.assert_close(own[name], values.detach(), **NEAR)
    neurons = [nnsight_neuron(model, *naming(Neuron(layer, 3 * layer))) for layer in (0, 2, 7)]
    expected = read(model, neurons, [PROMPT])
    back = activations_of(cache, neurons, expected.tokens[0], naming)
    torch.testing.assert_close(back.values[0], expected.values[0], **NEAR)


def test_an_edit_of_the_library_is_the_add_of_fulcra(model: Model, lm: Any, ids: Tensor) -> None:
    hook, column = nnsight_site(model, Neuron(2, 307))
    with lm.trace({"input_ids": ids}):
        lm.get(hook)[..., column] += GATE.value
        dosed = lm.output.logits.save()
    with torch.no_grad(), applied_rows(model, [(GATE,)]):
        expected = model.hf(ids).logits
    torch.testing.assert_close(dosed.detach(), expected, **NEAR)
    assert float((dosed - model.hf(ids).logits).abs().max()) > 0.1


def test_a_recipe_gives_the_same_logits_there(
    model: Model, lm: Any, ids: Tensor, made: Made
) -> None:
    own = made().model.model_copy(update={"sha256": model.sha256})
    recipe = made().model_copy(update={"model": own})
    ((hook, dose),) = doses_of(model, recipe, partial(nnsight_site, model))
    with lm.trace({"input_ids": ids}):
        lm.get(hook)[:] = dose(lm.get(hook))
        dosed = lm.output.logits.save()
    with torch.no_grad(), applied_rows(model, [(GATE,)]):
        expected = model.hf(ids).logits
    torch.testing.assert_close(dosed.detach(), expected, **NEAR)
