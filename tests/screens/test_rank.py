"""One name a screen: the ranking is that of the screen's own function, options and all."""

from collections.abc import Callable
from typing import Any

import pytest

from fulcra import Behavior, Model, Neuron
from fulcra.errors import InputError
from fulcra.screens.contrastive import contrastive
from fulcra.screens.gradient import PAPER, gradient
from fulcra.screens.rank import rank
from fulcra.screens.registry import ENTRANTS, SCREENS
from fulcra.screens.scores import Clean, clean_ground
from fulcra.screens.window import window
from fulcra.types import Ranking
from tests.screens.conftest import Plant, behavior


@pytest.fixture
def model(planted: Callable[[Plant], Model]) -> Model:
    return planted(lambda hf: None)


@pytest.fixture
def task() -> Behavior:
    return behavior(
        ["the cat near the river", "the king waits near the river", "a wolf near the river"],
        ["the cat near the mill", "the king waits near the mill", "a wolf near the mill"],
    )


@pytest.mark.parametrize("by", SCREENS)
def test_a_name_stands_for_the_screens_own_function(by: str, model: Model, task: Behavior) -> None:
    ranking = rank(model, task, by)
    assert isinstance(ranking, Ranking)
    assert ranking.screen == by
    assert ranking == SCREENS[by](model, task)


def test_every_screen_of_the_tournament_has_a_name() -> None:
    assert {entrant.name for entrant in ENTRANTS} <= SCREENS.keys()
    assert rank.__doc__ is not None
    assert all(f"\n    {name} " in rank.__doc__ for name in SCREENS)


def test_options_are_those_of_the_screen(model: Model, task: Behavior) -> None:
    clean: Clean = clean_ground(model, task)
    calls: tuple[tuple[str, dict[str, Any], Ranking], ...] = (
        ("contrastive", {"top_k": 3}, contrastive(model, task, top_k=3)),
        (
            "gradient",
            {"units": "gain", "form": PAPER, "layers": [1]},
            gradient(model, task, units="gain", form=PAPER, layers=[1]),
        ),
        (
            "window",
            {"clean": clean, "neurons": [Neuron(1, 5)], "count": 1},
            window(model, task, clean=clean, neurons=[Neuron(1, 5)], count=1),
        ),
    )
    for by, options, ranking in calls:
        assert rank(model, task, by, **options) == ranking
    assert rank(model, task) == contrastive(model, task)


def test_unknown_names_and_options_are_refused(model: Model, task: Behavior) -> None:
    with pytest.raises(InputError, match=r"rank\(by='best'\): no such screen; the screens are con"):
        rank(model, task, "best")
    for options, message in (
        ({"units": "gains"}, "units is 'gains' (str); expected 'raw' or 'gain'"),
        ({"top_k": "5"}, "top_k is '5' (str); expected int"),
        ({"layers": "3"}, "layers is one text; give a list, each int"),
    ):
        with pytest.raises(InputError) as refusal:
            rank(model, task, **options)
        assert str(refusal.value) == f"rank(): {message}"
    with pytest.raises(InputError, match="units 'gains': scores are in 'raw' units or in 'gain'"):
        contrastive(model, task, units="gains")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"rank\(by='dla'\): no option 'units'; it has statistic"):
        rank(model, task, "dla", units="gain")


def test_a_function_of_ones_own_is_a_screen_and_what_it_returns_is_looked_at(
    model: Model, task: Behavior
) -> None:
    def last(model: Model, behavior: Behavior, *, layer: int = 0) -> Ranking:
        return Ranking("last", (Neuron(layer, 5),), (1.0,))

    assert rank(model, task, last, layer=1).branches == (Neuron(1, 5),)
    with pytest.raises(InputError, match=r"rank\(by='last'\): no option 'units'; it has layer"):
        rank(model, task, last, units="gain")
    with pytest.raises(InputError, match=r"N5.*layer"):
        rank(model, task, last, layer=99)
    with pytest.raises(InputError, match=r"it returned list, expected a fulcra.Ranking"):
        rank(model, task, lambda model, behavior: [])
