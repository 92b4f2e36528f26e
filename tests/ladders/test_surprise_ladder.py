"""The share of odd tokens against an independent count, and the edge against the whole ladder."""

import pytest
import torch

from fulcra.engines.generic import GenericText, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.passes import Texts
from fulcra.ladders.surprise_ladder import (
    SURPRISED_SHARE,
    expected_shares,
    odd_tokens,
    sampled_surprise_ladder,
    surprise_ladder,
    surprised_shares,
)
from fulcra.models import Model, applied_rows
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.tiny import tiny
from fulcra.types import Neuron

LEVEL = 4.6


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny("llama")


@pytest.fixture(scope="module")
def text(model: Model) -> GenericText:
    return continue_openings(model, ["w5 w6 w7", "w9 w10", "w30"], seed=0, tokens=6)


@pytest.fixture(scope="module")
def branches(model: Model, text: GenericText) -> list[Coordinate]:
    clean = stream(model, text.prompts, text.replies)
    return [
        coordinate(model, clean, Neuron(layer, 4, pole)) for layer in range(3) for pole in (1, -1)
    ]


def test_the_share_is_the_dosed_mass_on_tokens_odd_to_the_clean_model(
    model: Model, text: GenericText, branches: list[Coordinate]
) -> None:
    doses = [branch.dose(0.8) for branch in branches]
    shares = surprised_shares(model, doses, text, LEVEL)
    for dose, share in zip(doses, shares, strict=True):
        masses = []
        for prompt, reply in zip(text.prompts, text.replies, strict=True):
            ids, span = torch.tensor([prompt + reply]), slice(len(prompt) - 1, -1)
            with torch.no_grad():
                odd = -model.hf(ids).logits[0, span].log_softmax(-1) > LEVEL
                with applied_rows(model, [(dose,)]):
                    dosed = model.hf(ids).logits[0, span].softmax(-1)
            masses.append((dosed * odd).sum(-1))
        torch.testing.assert_close(share, torch.cat(masses).mean(), rtol=1e-4, atol=1e-5)


def test_the_edge_is_where_the_whole_ladder_crosses(
    model: Model, text: GenericText, branches: list[Coordinate]
) -> None:
    rows = surprised_shares(
        model, [branch.dose(gain) for branch in branches for gain in CEILING_GAINS], text, LEVEL
    ).view(len(branches), -1)
    whole = [crossing(CEILING_GAINS, row, SURPRISED_SHARE) for row in rows.tolist()]
    edges = surprise_ladder(model, branches, text, LEVEL)
    assert [edge.gain for edge in edges] == [
        gain if gain is None else pytest.approx(gain, rel=1e-3) for gain in whole
    ]
    assert {(edge.method, edge.tier) for edge in edges} == {("surprise_ladder", 2)}


def test_a_level_that_everything_exceeds_is_reached_at_the_first_rung(
    model: Model, text: GenericText, branches: list[Coordinate]
) -> None:
    assert {edge.gain for edge in surprise_ladder(model, branches, text, level=0.0)} == {
        CEILING_GAINS[0]
    }
    assert {edge.gain for edge in surprise_ladder(model, branches, text, level=1e9)} == {None}


def test_the_sampled_ladder_reads_the_distribution_that_tokens_are_drawn_from(
    model: Model, text: GenericText, branches: list[Coordinate]
) -> None:
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    odd = odd_tokens(model, texts, LEVEL)
    doses = [branch.dose(gain) for branch in branches for gain in CEILING_GAINS]
    usual = expected_shares(model, texts, odd, doses)
    assert torch.equal(usual, expected_shares(model, texts, odd, doses, 1.0))
    assert torch.equal(usual, surprised_shares(model, doses, text, LEVEL))
    drawn = expected_shares(model, texts, odd, doses, 0.8).view(len(branches), -1)
    assert not torch.equal(usual, drawn.flatten())
    whole = [crossing(CEILING_GAINS, row, SURPRISED_SHARE) for row in drawn.tolist()]
    edges = sampled_surprise_ladder(model, branches, text, LEVEL)
    assert [edge.gain for edge in edges] == [
        gain if gain is None else pytest.approx(gain, rel=1e-3) for gain in whole
    ]
    assert {(edge.method, edge.tier) for edge in edges} == {("sampled_surprise_ladder", 2)}
