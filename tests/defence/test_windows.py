"""Looks at windows: who is screened where an audit sweeps every neuron, and where it cannot."""

import random
from collections.abc import Sequence
from itertools import islice
from statistics import median

import pytest

from fulcra import Behavior, Model
from fulcra.defence import windows as module
from fulcra.defence.windows import Sample, Window, look
from fulcra.errors import InputError
from fulcra.protocol.draw import movers
from fulcra.protocol.subject import Subject
from fulcra.screens.candidates import SWEPT, sweep_candidates
from fulcra.types import Neuron, Ranking

SMALL = Sample(screened=2, random=2, candidates=8, others=4)


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    return Subject.of(sparse, refusal)


@pytest.fixture
def screened(monkeypatch: pytest.MonkeyPatch) -> list[Neuron]:
    """Whom the screen of the last look was shown; it takes the first of them."""
    shown: list[Neuron] = []

    def screen(subject: Subject, neurons: Sequence[Neuron], count: int, bar: object) -> Ranking:
        shown[:] = neurons
        return Ranking("window", tuple(neurons), (0.0,) * len(neurons))

    monkeypatch.setattr(module, "dose_screen", screen)
    return shown


def at_random(subject: Subject, number: int, count: int) -> list[Neuron]:
    """The neurons that a look of that number draws from the whole model."""
    model, rng = subject.model, random.Random(f"look-{subject.seed}-{number}")
    places = [
        (layer, slot) for layer in range(model.n_layers) for slot in range(model.width(layer))
    ]
    neurons = [model.neuron(*place) for place in rng.sample(places, len(places))]
    return list(islice(movers(subject.ground, neurons), count))


def test_where_an_audit_sweeps_every_neuron_a_look_draws_from_all(
    subject: Subject, screened: list[Neuron]
) -> None:
    assert subject.model.n_layers * subject.model.d_mlp <= SWEPT
    view = look(subject, SMALL, 3)
    assert screened == at_random(subject, 3, 8)
    assert view.ranked == view.screened == SMALL.screened


def test_a_look_at_more_random_neurons_than_there_are_is_refused_in_one_line(
    subject: Subject, screened: list[Neuron]
) -> None:
    with pytest.raises(InputError, match=r"--branches 20: draws 9 random neurons, in .* through 8"):
        look(subject, SMALL._replace(random=18), 3)
    assert not screened


def test_in_a_larger_model_half_of_a_screen_is_of_the_audits_sweep(
    subject: Subject, screened: list[Neuron]
) -> None:
    sample = SMALL._replace(swept=16)
    sweep = sweep_candidates(subject.model, subject.ground.stream, subject.gaps, 16)
    drawn = set[Neuron]()
    for number in range(3):
        view = look(subject, sample, number)
        assert set(screened[:4]) <= set(sweep)
        assert screened[4:] == at_random(subject, number, 4)
        fresh = {each.at.branch for each in view.edges[view.screened :]}
        assert {Neuron(str(branch)).site for branch in fresh} <= {n.site for n in screened[4:]}
        drawn |= set(screened[:4])
    assert len(drawn) > 4


def test_in_a_larger_model_the_next_strongest_of_a_screen_get_windows_of_their_layer(
    subject: Subject, screened: list[Neuron]
) -> None:
    view = look(subject, SMALL._replace(swept=16), 0)
    assert (view.screened, view.ranked) == (2, 6)
    assert [window.at.branch for window in view.windows[:6]] == screened[:6]
    forecasts = [Window.of(each) for each in view.edges]
    assert list(view.windows[:2]) == forecasts[:2]
    for window in view.windows[2:6]:
        near = [each for each in forecasts if each.at.branch.layer == window.at.branch.layer]
        assert window.low == median(each.low for each in near or forecasts)
        assert window.high == median(each.high for each in near or forecasts)


def test_a_sweep_that_fits_is_screened_whole(subject: Subject, screened: list[Neuron]) -> None:
    look(subject, SMALL._replace(swept=3), 0)
    sweep = sweep_candidates(subject.model, subject.ground.stream, subject.gaps, 3)
    assert set(screened[: len(sweep)]) == set(sweep)
    assert len(screened) == 8
