"""Every predictor of a ceiling, with the tier of what it may see (law.md section 4)."""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from fulcra.errors import Inconclusive
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.geometry import participation_ratio
from fulcra.ladders import (
    kl_ladder,
    own_text_ladder,
    sampled_surprise_ladder,
    second_order_kl,
    surprise_ladder,
)
from fulcra.ladders.kl_ladder import TEXTS
from fulcra.ladders.own_text_ladder import OwnText
from fulcra.protocol.subject import Ground
from fulcra.types import Edge

#: Paper A's gains at collapse, of a range its middle; a family it does not name gets llama's.
FAMILY_CONSTANTS = {
    "llama": 1.46,
    "qwen2": 1.51,
    "qwen3": 1.51,
    "gemma2": 0.31,
    "gemma3_text": 0.31,
}


class Predictor(NamedTuple):
    """One method: its name, its tier, and the ceilings it forecasts of branches.

    An edge beyond the ladder or a norm's cap is censored.
    """

    name: str
    tier: int
    edges: Callable[[Ground, Sequence[Coordinate]], list[Edge]]


class Calibration(NamedTuple):
    """Another branch's layer, and its ceiling as measured and as `kl_ladder` forecast it."""

    layer: int
    measured: float
    forecast: float


def family_constant(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """Paper A's m*: one gain at collapse for all neurons of a family."""
    family = ground.model.hf.config.model_type
    gain = FAMILY_CONSTANTS.get(family, FAMILY_CONSTANTS["llama"])
    return [_reached(place, gain, "family_constant") for place in branches]


def participation(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """g = sqrt(d / PR - 1) / 2, PR the effective dimensions of the layer's clean stream.

    Paper A names a participation ratio and publishes no formula; this one is ours: a stream that
    uses few of its dimensions is far from the plane of a random write, and half of that distance is
    taken as the room before it is left.
    """
    model, edges = ground.model, []
    for place in branches:
        ratio = participation_ratio(ground.stream.sample[place.branch.layer])
        gain = math.sqrt(max(model.d_model / ratio - 1, 0.0)) / 2
        edges.append(_reached(place, gain, "participation_ratio"))
    return edges


def second_order(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """Where a divergence quadratic in the gain reaches .8 nat, by the curvature of a clean pass."""
    return second_order_kl(ground.model, branches, ground.stream, ground.text)


def kl(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """The gain at which a dose costs .8 nat a token on generic text."""
    return kl_ladder(ground.model, branches, ground.text)


def surprise(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """Where the expected share of odd tokens is the one that the judge of coherence forbids."""
    level = ground.standard.surprise_level
    return surprise_ladder(ground.model, branches, ground.text, level)


def sampled_surprise(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """`surprise` of tokens as rollouts draw them, at their temperature."""
    level = ground.standard.surprise_level
    return sampled_surprise_ladder(ground.model, branches, ground.text, level)


def own_text(ground: Ground, branches: Sequence[Coordinate]) -> list[Edge]:
    """Where the judge's share of the first tokens that the dosed model writes itself are odd."""
    openings = ground.text.prompts[:TEXTS]
    own = OwnText(ground.model, openings, ground.reference, ground.standard.surprise_level)
    return own_text_ladder(own, branches)


def _reached(place: Coordinate, gain: float, method: str) -> Edge:
    """The edge at a gain, censored where a norm lets no dose reach it."""
    return place.edge(gain if place.reaches(gain) else None, method, 1)


def layer_median(others: Sequence[Calibration], layer: int) -> float:
    """The median measured ceiling on `layer`, of all layers where none is of it (tier 3).

    Inconclusive without calibration.
    """
    if not others:
        raise Inconclusive(
            "layer_median: no other branch was measured; calibrate on some, or take a predictor of"
            " tier 2"
        )
    here = [other.measured for other in others if other.layer == layer]
    return median(here or [other.measured for other in others])


def recalibration(others: Sequence[Calibration]) -> float:
    """The factor by which measured ceilings lie above `kl_ladder`'s (tier 3).

    By the median of logs; 1 without calibration.
    """
    logs = [math.log(other.measured / other.forecast) for other in others]
    return math.exp(median(logs)) if logs else 1.0


#: Predictors of the ceiling that need no rollouts.
CEILINGS = (
    Predictor("family_constant", 1, family_constant),
    Predictor("participation_ratio", 1, participation),
    Predictor("second_order_kl", 1, second_order),
    Predictor("kl_ladder", 2, kl),
    Predictor("surprise_ladder", 2, surprise),
    Predictor("sampled_surprise_ladder", 2, sampled_surprise),
)
#: Predictors that roll a few tokens of the branch itself out: dearer to justify, and no forecast.
ROLLED = (Predictor("own_text_ladder", 4, own_text),)
