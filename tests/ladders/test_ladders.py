"""A ladder climbed by halves from shared passes is the whole ladder from full passes."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fulcra.behaviors import load_behavior
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.errors import BehaviorError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.divergence import kl_nats
from fulcra.formulas.intervals import crossing
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.kl_ladder import CEILING_GAINS, LEVEL, edit_divergences
from fulcra.ladders.search import crossings, first_crossings
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS, Openings, clean_odds, opening_odds
from fulcra.models import Model, applied_rows, load
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Direction, Edit, Neuron, Prompt


@pytest.fixture(scope="module")
def model() -> Model:
    return load("apothecary-sparse")


@pytest.fixture(scope="module")
def text(model: Model) -> GenericText:
    return continue_openings(model, load_behavior("refusal").generic, seed=0, tokens=10).first(4)


@pytest.fixture(scope="module")
def branches(model: Model, text: GenericText) -> list[Coordinate]:
    clean = stream(model, text.prompts, text.replies)
    sites: list[Neuron | Direction] = [
        Neuron(layer, 11 + layer, (-1) ** layer) for layer in range(model.n_layers)
    ]
    sites.append(
        Direction(3, "v", torch.randn(model.d_model, generator=torch.Generator().manual_seed(0)))
    )
    return [coordinate(model, clean, site) for site in sites]


def full_logits(model: Model, row: tuple[int, ...], dose: Edit) -> Tensor:
    with torch.no_grad(), applied_rows(model, [(dose,)]):
        return model.hf(torch.tensor([row])).logits[0]


def test_divergence_is_that_of_full_passes(
    model: Model, branches: list[Coordinate], text: GenericText
) -> None:
    doses = [branch.dose(gain) for branch in branches for gain in (0.3, 1.4)]
    for dose, value in zip(doses, edit_divergences(model, doses, text), strict=True):
        kl = []
        for prompt, reply in zip(text.prompts, text.replies, strict=True):
            span = slice(len(prompt) - 1, -1)
            with torch.no_grad():
                clean = model.hf(torch.tensor([prompt + reply])).logits[0, span]
            kl.append(kl_nats(clean, full_logits(model, prompt + reply, dose)[span]))
        torch.testing.assert_close(value, torch.cat(kl).mean(), rtol=1e-4, atol=1e-5)


def test_odds_are_those_of_full_passes(model: Model, branches: list[Coordinate]) -> None:
    prompts = load_behavior("refusal").selection[:2]
    doses = [branch.dose(0.5) for branch in branches]
    odds = opening_odds(model, Openings.of(model, prompts), doses)

    def log_p(dose: Edit, prompt: Prompt, openings: tuple[str, ...]) -> Tensor:
        ids, sums = model.prompt_ids(prompt.text), []
        for opening in openings:
            reply = model.reply_ids(opening)[:8]
            logits = full_logits(model, ids + reply, dose)[len(ids) - 1 : -1].log_softmax(-1)
            sums.append(logits[torch.arange(len(reply)), list(reply)].sum())
        return torch.stack(sums).logsumexp(0)

    for dose, row in zip(doses, odds, strict=True):
        for prompt, value in zip(prompts, row, strict=True):
            expected = log_p(dose, prompt, prompt.target_openings) - log_p(
                dose, prompt, prompt.control_openings
            )
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)


def test_the_halved_kl_ladder_is_the_whole_one(
    model: Model, branches: list[Coordinate], text: GenericText
) -> None:
    doses = [branch.dose(gain) for branch in branches for gain in CEILING_GAINS]
    nats = edit_divergences(model, doses, text).view(len(branches), -1)
    whole = [crossing(CEILING_GAINS, row, LEVEL) for row in nats.tolist()]
    assert [edge.gain for edge in kl_ladder(model, branches, text)] == [
        gain if gain is None else pytest.approx(gain, rel=1e-4) for gain in whole
    ]


def test_the_climbed_trigger_ladder_is_the_whole_one(
    model: Model, branches: list[Coordinate]
) -> None:
    openings = Openings.of(model, load_behavior("refusal").selection[:3])
    odds = opening_odds(
        model, openings, [branch.dose(gain) for branch in branches for gain in TRIGGER_GAINS]
    ).mean(-1)
    whole = [crossing(TRIGGER_GAINS, row, 0.0) for row in odds.view(len(branches), -1).tolist()]
    assert [edge.gain for edge in trigger_ladder(model, branches, openings)] == [
        g if g is None else pytest.approx(g, rel=1e-4) for g in whole
    ]


def test_clean_odds_are_those_of_a_dose_of_nothing(model: Model) -> None:
    openings = Openings.of(model, load_behavior("refusal").selection[:3])
    nothing = opening_odds(
        model, openings, [Edit(Neuron(3, 1), "add", 0.0), Edit(Neuron(5, 1), "scale", 1.0)]
    )
    torch.testing.assert_close(
        nothing, clean_odds(model, openings).expand(2, -1), rtol=1e-5, atol=1e-4
    )


def test_a_prompt_without_openings_on_one_side_is_named(model: Model) -> None:
    with pytest.raises(BehaviorError, match="p1: no control openings"):
        Openings.of(model, [Prompt("p1", "hello", ("a",))])


@given(st.lists(st.floats(-2, 4), min_size=1, max_size=14), st.floats(-1, 3))
def test_halving_finds_the_crossing_of_rising_values(values: list[float], level: float) -> None:
    values, gains = sorted(values), [0.1 * 1.5**i for i in range(len(values))]
    measured: list[tuple[int, int]] = []

    def measure(pairs: list[tuple[int, int]]) -> list[float]:
        measured.extend(pairs)
        return [values[rung] for _, rung in pairs]

    assert crossings(measure, [len(gains)], gains, level) == [crossing(gains, values, level)]  # type: ignore[arg-type]
    assert len(measured) <= len(values).bit_length()


@given(
    st.lists(
        st.one_of(st.floats(-2, 4), st.just(float("inf")), st.just(float("nan"))), max_size=14
    ),
    st.integers(0, 14),
)
def test_a_climb_finds_the_first_crossing_whatever_comes_after(
    values: list[float], rungs: int
) -> None:
    gains, top = [0.1 * 1.5**i for i in range(len(values))], min(rungs, len(values))
    edges = first_crossings(lambda pairs: [values[rung] for _, rung in pairs], [top, 0], gains, 1.0)
    assert edges == [crossing(gains[:top], values[:top], 1.0), None]


def test_a_climb_ends_at_the_crossing() -> None:
    measured: list[int] = []

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        measured.extend(rung for _, rung in pairs)
        return [float(rung) for _, rung in pairs]

    first_crossings(measure, [14], [0.1 * 1.5**i for i in range(14)], 2.0)
    assert measured == [0, 1, 2, 3, 4]


def test_rungs_beyond_a_cap_do_not_exist() -> None:
    measured: list[int] = []

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        measured.extend(rung for _, rung in pairs)
        return [rung / 2 for _, rung in pairs]

    gains = [0.1, 0.2, 0.4, 0.8]
    assert crossings(measure, [2, 3, 0], gains, 1.0) == [None, pytest.approx(0.4), None]
    assert max(measured) == 2


@given(
    st.lists(
        st.one_of(st.floats(-2, 4), st.just(float("inf")), st.just(float("nan"))),
        min_size=2,
        max_size=14,
    )
)
def test_halving_answers_with_a_rung_that_rises_through_the_level(values: list[float]) -> None:
    gains = [0.1 * 1.5**i for i in range(len(values))]
    (edge,) = crossings(lambda pairs: [values[rung] for _, rung in pairs], [len(gains)], gains, 1.0)
    if edge is None:
        assert not values[-1] >= 1.0
    else:
        rung = next(i for i, gain in enumerate(gains) if gain >= edge * (1 - 1e-9))
        assert values[rung] >= 1.0
