"""Forecasts of any write: a neuron's is that of its direction; what is no write is refused."""

from dataclasses import replace

import pytest
import torch

import fulcra
from fulcra.errors import Inconclusive, InputError
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.protocol.subject import Subject
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
    ("vector", "message"),
    [
        (torch.zeros(128), "norm 0"),
        (torch.ones(2, 128), r"shape \[2, 128\]"),
        (torch.full((128,), torch.nan), "128 numbers not finite"),
    ],
)
def test_what_is_no_direction_is_refused_where_it_is_made(
    vector: torch.Tensor, message: str
) -> None:
    with pytest.raises(
        InputError, match=rf"direction\(1, 'direction'\): .*{message}.*give one finite vector"
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


def test_a_trigger_is_that_of_the_ladder_over_the_selection_prompts(
    sparse: fulcra.Model, refusal: fulcra.Behavior
) -> None:
    subject = Subject.of(sparse, refusal)
    neuron = Neuron.parse("L1.N83-")
    assert subject.openings is not None
    (edge,) = trigger_ladder(sparse, [subject.coordinate(neuron)], subject.openings)
    assert fulcra.predict_trigger(sparse, neuron, refusal) == edge
    assert edge.gain is not None


def test_a_ceiling_under_a_system_prompt_is_that_of_an_audit_under_it(
    sparse: fulcra.Model, refusal: fulcra.Behavior
) -> None:
    behavior = replace(refusal, system="speak as a friend")
    ground, neuron = Subject.of(sparse, behavior).ground, Neuron("L1.N83-")
    (edge,) = kl_ladder(sparse, [ground.coordinate(neuron)], ground.text)
    under = fulcra.predict_ceiling(sparse, neuron, behavior.generic, system=behavior.system)
    assert under == edge
    assert under != fulcra.predict_ceiling(sparse, neuron, behavior.generic)


def test_without_openings_no_trigger_is_forecast(
    sparse: fulcra.Model, refusal: fulcra.Behavior
) -> None:
    bare = tuple(
        replace(prompt, target_openings=(), control_openings=()) for prompt in refusal.selection
    )
    with pytest.raises(Inconclusive, match="declares no openings"):
        fulcra.predict_trigger(sparse, Neuron(1, 83), replace(refusal, selection=bare))
