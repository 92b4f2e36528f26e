"""Names of other libraries lead to the neuron and back; what holds no neuron is refused."""

import pytest
import torch

from fulcra import Model, load, read
from fulcra.errors import InputError
from fulcra.interop.caches import activations_of, cache_of
from fulcra.interop.doses import doses_of
from fulcra.interop.sites import Site, lens_neuron, lens_site, nnsight_neuron, nnsight_site
from fulcra.models import add_mlp, anchor, pin, scale
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edit, Neuron
from tests.interop.conftest import GATE, PROMPT, STAYS, Made


@pytest.mark.parametrize("pole", [1, -1])
def test_a_transformer_lens_name_leads_back_to_its_neuron(pole: int) -> None:
    neuron = Neuron(14, 2207, pole)
    assert lens_site(neuron) == Site("blocks.14.mlp.hook_post", 2207)
    assert lens_neuron(*lens_site(neuron), pole) == neuron


@pytest.mark.parametrize(
    ("organism", "name"),
    [
        ("apothecary-sparse", "model.layers.2.mlp.down_proj.input"),
        ("apothecary-gpt2-sparse", "transformer.h.2.mlp.c_proj.input"),
    ],
)
def test_an_nnsight_name_is_of_the_family_and_leads_back(organism: str, name: str) -> None:
    model, neuron = load(organism), Neuron(2, 307, -1)
    assert nnsight_site(model, neuron) == Site(name, 307)
    assert nnsight_neuron(model, name, 307, -1) == neuron


@pytest.mark.parametrize(
    "name", ["blocks.2.mlp.hook_pre", "blocks.2.hook_resid_post", "", "blocks.x.mlp.hook_post"]
)
def test_a_hook_without_neurons_is_refused(sparse: Model, name: str) -> None:
    with pytest.raises(InputError, match="holds no neurons; expected a name like blocks"):
        lens_neuron(name, 0)
    with pytest.raises(InputError, match=r"has no neurons there; expected .*down_proj\.input"):
        nnsight_neuron(sparse, name, 0)


def test_neurons_that_a_model_lacks_or_keeps_in_experts_have_no_place(sparse: Model) -> None:
    with pytest.raises(InputError, match="has layers 0-7"):
        nnsight_site(sparse, Neuron(8, 0))
    with pytest.raises(InputError, match="neurons 0-383"):
        nnsight_neuron(sparse, "model.layers.2.mlp.down_proj.input", 384)
    mixture = tiny("mixtral")
    for naming in (lens_site, lambda neuron: nnsight_site(mixture, neuron)):
        with pytest.raises(InputError, match="neurons of experts"):
            naming(Neuron(1, 3, expert=0))
    with pytest.raises(InputError, match="neurons of experts"):
        cache_of(mixture, (1, 2, 3))


def test_a_cache_read_back_is_what_fulcra_reads(sparse: Model) -> None:
    neurons = [Neuron(2, 307), Neuron(7, 0), Neuron(2, 5, -1)]
    prompt = sparse.prompt_ids(PROMPT, chat=False)
    own = read(sparse, neurons, [PROMPT])
    cache = cache_of(sparse, prompt)
    assert list(cache) == [f"blocks.{layer}.mlp.hook_post" for layer in range(8)]
    back = activations_of(cache, neurons, own.tokens[0])
    torch.testing.assert_close(back.values[0], own.values[0])
    assert (back.neurons, back.tokens) == (own.neurons, own.tokens)
    assert back.top(1)[0].neuron == own.top(1)[0].neuron


def test_a_cache_that_does_not_fit_is_refused_in_one_line() -> None:
    name = "blocks.0.mlp.hook_post"
    for cache, tokens, words in (
        ({}, "ab", "cache: no blocks.0.mlp.hook_post, where L0.N3+ stands; it holds nothing"),
        ({name: torch.zeros(2, 2, 9)}, "ab", "expected [1, 2, d_mlp]"),
        ({name: torch.zeros(1, 3, 9)}, "ab", "expected [1, 2, d_mlp]"),
        ({name: torch.zeros(1, 2, 3)}, "ab", "with column 3"),
    ):
        with pytest.raises(InputError) as refusal:
            activations_of(cache, [Neuron(0, 3)], tokens)
        assert words in str(refusal.value)
    with pytest.raises(InputError, match="no neuron was given"):
        activations_of({}, [], "ab")


def test_doses_of_one_hook_act_together_and_leave_their_input_alone(
    sparse: Model, made: Made
) -> None:
    edits = (GATE, scale(Neuron(2, 5), 3.0), pin(Neuron(2, 6), -1.0), scale(Neuron(4, 0), 0.0))
    (hook, dose), (other, _) = doses_of(sparse, made(*edits))
    assert (hook, other) == ("blocks.2.mlp.hook_post", "blocks.4.mlp.hook_post")
    values = torch.ones(1, 2, 384)
    dosed = dose(values, hook=None)
    assert values.eq(1).all()
    assert dosed[0, 0, [307, 5, 6, 7]].tolist() == [-3.0, 3.0, -1.0, 1.0]
    assert dosed[0, 0].sum() == 384 - 4 + 2 - 2


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (add_mlp(Direction(4, "flip", torch.ones(128)), 0.5), "no function of one activation"),
        (anchor(Neuron(2, 307), 3.0, gap=2.0), "no function of one activation"),
        (Edit(Neuron(2, 307), "add", 1.0, positions="generated"), "made for positions 'generated'"),
    ],
)
def test_what_a_function_of_activations_would_do_otherwise_is_refused(
    sparse: Model, made: Made, edit: Edit, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        doses_of(sparse, made(edit))


def test_no_dose_leaves_for_a_sensitive_behavior_or_other_weights(
    sparse: Model, made: Made
) -> None:
    with pytest.raises(InputError, match=STAYS):
        doses_of(sparse, made(sensitive=True))
    with pytest.raises(InputError, match="doses do not carry over"):
        doses_of(load("apothecary-dense"), made())
