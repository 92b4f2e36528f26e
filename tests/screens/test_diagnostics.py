"""Warnings name what two contrast sets differ in; sets that cannot be contrasted are refused."""

from dataclasses import replace

import pytest

from fulcra import Behavior, Model
from fulcra.errors import BehaviorError
from fulcra.screens.branch_scores import branch_scores
from fulcra.screens.diagnostics import diagnose
from fulcra.types import Neuron, Prompt, Ranking
from tests.screens.conftest import behavior

NOUNS = ("cat", "dog", "king", "wolf", "river", "mill")


def test_sets_alike_but_for_their_pairs_get_no_warning(sparse: Model) -> None:
    texts = [f"the {noun} near the {other}" for noun in NOUNS for other in NOUNS if noun != other]
    assert diagnose(sparse, behavior(texts[::2], texts[1::2])).warnings == ()


def test_length_words_and_telltales_are_named(sparse: Model) -> None:
    report = diagnose(
        sparse,
        behavior(
            [f"the {noun} sleeps near the river now" for noun in NOUNS],
            [f"the {noun} waits" for noun in NOUNS],
        ),
    )
    assert report.words == 1.0
    assert report.length_p == 0.0
    assert report.only_on_one_side == ("near", "now", "sleeps", "waits")
    assert [warning.split("(")[0].strip() for warning in report.warnings[:2]] == [
        "the sets differ in length",
        "words alone tell the sets apart on held-out prompts",
    ]


def test_the_bundled_refusal_differs_in_its_words(sparse: Model, refusal: Behavior) -> None:
    report = diagnose(sparse, refusal)
    assert report.positive == report.negative == 32
    assert report.words > 0.8
    assert any("words alone" in warning for warning in report.warnings)


def test_sets_that_cannot_be_contrasted_are_refused(sparse: Model) -> None:
    task = behavior(["the cat sleeps", "the dog waits"], ["the king sings", "the wolf makes"])
    for changed, message in (
        (replace(task, positive=()), "needs positive and negative prompts; give both"),
        (
            replace(task, positive=task.positive[:1]),
            "positive holds one prompt, .*give two or more",
        ),
        (replace(task, positive=task.negative), "the same prompts, and every difference is 0"),
        (
            replace(task, positive=(*task.positive, Prompt("blank", " "))),
            "prompt blank has no tokens in apothecary-sparse",
        ),
    ):
        with pytest.raises(BehaviorError, match=message):
            diagnose(sparse, changed)


def test_a_screen_of_one_pole_says_the_opposite_of_the_other() -> None:
    a, b, c = (Neuron(0, i) for i in range(3))
    branches = [pole for neuron in (a, b, c) for pole in (neuron, neuron.opposite)]
    assert branch_scores(Ranking("x", (a, b.opposite), (2.0, 1.0)), branches).tolist() == [
        2,
        -2,
        -1,
        1,
        0,
        0,
    ]


def test_what_a_screen_of_both_poles_leaves_out_comes_last() -> None:
    a, b = Neuron(0, 0), Neuron(0, 1)
    assert branch_scores(
        Ranking("x", (a, b, b.opposite), (3.0, 2.0, 1.0)), [a, a.opposite, b, b.opposite]
    ).tolist() == [3, 0, 2, 1]
