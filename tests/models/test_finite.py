"""What is not a finite number is named by layer and neuron, or counted; it never passes for a
result.
"""

import copy

import pytest
import torch

from fulcra import Behavior, load_behavior
from fulcra.engines.generic import continue_openings
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.activations import mean_activations
from fulcra.models.finite import first_broken
from fulcra.models.loading import load
from fulcra.screens.contrastive import activation_gaps
from fulcra.types import Edit, Neuron


@pytest.fixture(scope="module")
def refusing() -> Behavior:
    return load_behavior("refusal")


@pytest.fixture(scope="module")
def broken() -> Model:
    """The bundled organism with one neuron whose activation is infinite or nan everywhere."""
    sound = load("apothecary-sparse")
    hf = copy.deepcopy(sound.hf)
    with torch.no_grad():
        hf.model.layers[3].mlp.up_proj.weight[7] = torch.inf
    return Model("broken", hf, sound.tokenizer)


def test_the_lowest_broken_neuron_is_named(broken: Model) -> None:
    assert first_broken(broken, (5, 6, 7)) == Neuron(3, 7)


def test_a_neuron_that_an_edit_breaks_is_named_and_a_sound_model_has_none(sparse: Model) -> None:
    assert first_broken(sparse, (5, 6, 7)) is None
    assert first_broken(sparse, (5, 6, 7), (Edit(Neuron(2, 9), "add", float("inf")),)) == Neuron(
        2, 9
    )


def test_a_screen_of_a_broken_model_names_the_neuron(broken: Model, refusing: Behavior) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"neuron L3.N7: its activation is (nan|inf|-inf) on these prompts, .* leave the"
            r" prompt out"
        ),
    ):
        activation_gaps(broken, refusing)
    with pytest.raises(InputError, match=r"neuron L3.N7: its activation is"):
        mean_activations(broken, [(5, 6, 7)])


def test_generic_text_that_is_not_finite_is_refused(broken: Model, refusing: Behavior) -> None:
    with pytest.raises(
        InputError,
        match=(
            "generic text: 4 of 4 undosed replies of broken in float32 met numbers that are not"
            " finite"
        ),
    ):
        continue_openings(broken, refusing.generic[:4], seed=0)


def test_a_prompt_longer_than_the_context_is_named_by_its_first_words(sparse: Model) -> None:
    with pytest.raises(
        InputError,
        match=(
            r"prompt 'the cat the cat the cat the cat'\.\.\.: \d+ tokens, and .* has a context of"
            r" 256; shorten it"
        ),
    ):
        sparse.prompt_ids("the cat " * 200)
