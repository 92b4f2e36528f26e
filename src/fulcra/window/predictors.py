"""Predictors of an edge, each named, with the tier of what it may see (law.md section 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, Protocol

from fulcra.engines.generic import GenericText
from fulcra.errors import Inconclusive
from fulcra.formulas.geometry import participation_ratio
from fulcra.judges.coherence import CoherenceStandard
from fulcra.ladders import kl_ladder, second_order_kl, surprise_ladder, trigger_ladder
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models import Model
from fulcra.models.capture import Stream
from fulcra.models.coordinate import Coordinate
from fulcra.types import Edge

#: Paper A's gains at collapse; of a range its middle. A family it does not name gets its Llama
#: value.
FAMILY_CONSTANTS = {
    "llama": 1.46,
    "qwen2": 1.51,
    "qwen3": 1.51,
    "gemma2": 0.31,
    "gemma3_text": 0.31,
}


class Calibration(NamedTuple):
    """What rollouts of another branch of the model showed: its layer, its measured ceiling and what
    `kl_ladder` had forecast.
    """

    layer: int
    measured: float
    forecast: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What predictors may see beside the model; each takes as much of it as its tier allows."""

    text: GenericText
    clean: Stream
    standard: CoherenceStandard
    openings: Openings | None = None
    others: tuple[Calibration, ...] = ()


class Predictor(Protocol):
    """Edges of branches from what has been seen; censored where the edge lies beyond the ladder or
    a norm's cap.
    """

    @property
    def name(self) -> str: ...

    @property
    def tier(self) -> int: ...

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]: ...


def edges_at(
    predictor: Predictor, branches: Sequence[Coordinate], gains: Sequence[float]
) -> list[Edge]:
    """The predictor's edges at `gains`, censored where a norm lets no dose reach the gain."""
    reached = [gain if at.reaches(gain) else None for at, gain in zip(branches, gains, strict=True)]
    return [
        at.edge(gain, predictor.name, predictor.tier)
        for at, gain in zip(branches, reached, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class FamilyConstant:
    """Paper A's m*: one gain at collapse for all neurons of a family."""

    name: str = "family_constant"
    tier: int = 1

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        gain = FAMILY_CONSTANTS.get(model.hf.config.model_type, FAMILY_CONSTANTS["llama"])
        return edges_at(self, branches, [gain] * len(branches))


@dataclass(frozen=True, slots=True)
class ParticipationRatio:
    """g = sqrt(d / PR - 1) / 2, PR the effective dimensions of the layer's clean stream.

    Paper A names a participation ratio and publishes no formula; this one is ours: a stream that
    uses few of its dimensions is far from the plane of a random write, and half of that distance is
    taken as the room before it is left.
    """

    name: str = "participation_ratio"
    tier: int = 1

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        ratios = [participation_ratio(seen.clean.sample[layer]) for layer in range(model.n_layers)]
        gains = [
            math.sqrt(max(model.d_model / ratios[at.branch.layer] - 1, 0.0)) / 2 for at in branches
        ]
        return edges_at(self, branches, gains)


@dataclass(frozen=True, slots=True)
class SecondOrder:
    """The gain at which a divergence quadratic in the gain reaches .8 nat, from the curvature of
    one clean pass.
    """

    name: str = "second_order_kl"
    tier: int = 1

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        return second_order_kl(model, branches, seen.clean, seen.text)


@dataclass(frozen=True, slots=True)
class KlLadder:
    """The gain at which a dose costs .8 nat a token on generic text."""

    name: str = "kl_ladder"
    tier: int = 2

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        return kl_ladder(model, branches, seen.text)


@dataclass(frozen=True, slots=True)
class SurpriseLadder:
    """The gain at which the expected share of odd tokens is the one that the judge of coherence
    forbids.
    """

    name: str = "surprise_ladder"
    tier: int = 2

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        return surprise_ladder(model, branches, seen.text, seen.standard.surprise_level)


@dataclass(frozen=True, slots=True)
class LayerMedian:
    """The median ceiling of other branches of the layer, of the model where none is of that
    layer.
    """

    name: str = "layer_median"
    tier: int = 3

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        return edges_at(
            self, branches, [layer_median(seen.others, at.branch.layer) for at in branches]
        )


@dataclass(frozen=True, slots=True)
class RecalibratedLadder:
    """`kl_ladder` times one factor, learnt on the ceilings of other branches of the model."""

    name: str = "kl_ladder_recalibrated"
    tier: int = 3

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        factor = recalibration(seen.others)
        forecast = kl_ladder(model, branches, seen.text)
        return [
            at.edge(None if edge.gain is None else edge.gain * factor, self.name, self.tier)
            for at, edge in zip(branches, forecast, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class TriggerLadder:
    """The gain at which target openings outweigh control openings."""

    name: str = "trigger_ladder"
    tier: int = 2

    def __call__(self, model: Model, branches: Sequence[Coordinate], seen: Seen) -> list[Edge]:
        if seen.openings is None:
            raise Inconclusive(
                "trigger_ladder: the behavior declares no openings, so no trigger can be forecast;"
                " give target and control"
            )
        return trigger_ladder(model, branches, seen.openings)


def layer_median(others: Sequence[Calibration], layer: int) -> float:
    """The median measured ceiling on `layer`, of all layers where none is known; Inconclusive
    without calibration.
    """
    if not others:
        raise Inconclusive(
            "layer_median: no other branch was measured; calibrate on some, or take a predictor of"
            " tier 2"
        )
    here = [one.measured for one in others if one.layer == layer]
    return median(here or [one.measured for one in others])


def recalibration(others: Sequence[Calibration]) -> float:
    """The factor by which measured ceilings lie above their forecasts, by the median of logs; 1
    without calibration.
    """
    logs = [math.log(one.measured / one.forecast) for one in others]
    return math.exp(median(logs)) if logs else 1.0


#: Predictors of the ceiling that need no rollouts, and of the trigger; the two of tier 3 need
#: `Seen.others`.
CEILINGS: tuple[Predictor, ...] = (
    FamilyConstant(),
    ParticipationRatio(),
    SecondOrder(),
    KlLadder(),
    SurpriseLadder(),
)
CALIBRATED: tuple[Predictor, ...] = (LayerMedian(), RecalibratedLadder())
TRIGGERS: tuple[Predictor, ...] = (TriggerLadder(),)
