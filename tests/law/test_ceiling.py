"""The ceiling of any write: forecast alike for a neuron and for the same direction written by hand;
what is no write is refused.
"""

import pytest
import torch

import fulcra
from fulcra.errors import InputError
from fulcra.types import Neuron

OPENINGS = ("once there was a", "near the river", "every morning", "the old house")


def test_a_direction_that_is_a_neurons_write_has_its_ceiling(sparse: fulcra.Model) -> None:
    neuron = Neuron(3, 42)
    written = fulcra.direction(3, sparse.write(neuron) * 2.5, "written by hand")
    by_neuron, by_hand = (
        fulcra.predict_ceiling(sparse, branch, OPENINGS) for branch in (neuron, written)
    )
    assert by_neuron.gain is not None
    assert by_hand.gain == pytest.approx(by_neuron.gain, rel=1e-3)
    assert by_hand.method == by_neuron.method == "kl_ladder"


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (torch.zeros(128), "norm 0"),
        (torch.ones(2, 128), r"shape \[2, 128\]"),
        (torch.full((128,), torch.nan), "128 numbers not finite"),
    ],
)
def test_what_is_no_direction_is_refused_where_it_is_made(vector: torch.Tensor, said: str) -> None:
    with pytest.raises(
        InputError, match=rf"direction\(1, 'direction'\): .*{said}.*give one finite vector"
    ):
        fulcra.direction(1, vector)


@pytest.mark.parametrize(("layer", "width"), [(8, 128), (-1, 128), (1, 64)])
def test_a_direction_of_another_model_is_refused(
    sparse: fulcra.Model, layer: int, width: int
) -> None:
    with pytest.raises(
        InputError,
        match=(
            rf"layer {layer}, vector \[{width}\]; apothecary-sparse has layers 0-7 and d_model 128"
        ),
    ):
        fulcra.predict_ceiling(sparse, fulcra.direction(layer, torch.ones(width)), OPENINGS)
