"""The parts of screens.json: how one screen scored, and how what opens differs from the rest."""

import math
from typing import Literal

from fulcra.protocol.results.base import Value

ScreenKind = Literal["bundled", "own", "reranked"]
#: One score beside another; an AUROC's interval beside chance; an effect's beside none.
Standing = Literal["above", "below", "level with"]
AgainstChance = Literal["below", "above", "unclear"]
Side = Literal["lower", "higher", "not different"]


def bounds(low: float | None, high: float | None) -> tuple[float, float]:
    """The ends of an interval; an open one, None in files, is infinite."""
    return -math.inf if low is None else low, math.inf if high is None else high


class Stability(Value):
    """Two draws of so many prompts: overlap of their top 32, mean recall at 32, mean score."""

    overlap: float
    recall: float
    corrected_average_precision: float | None


class ScreenScore(Value):
    """How well one screen finds what opens.

    `low` and `high` belong to the corrected average precision; open ends of intervals are None.
    `late_share` is the share of its top 32 in the last quarter of the layers, `stability` the
    overlap at the largest number of prompts in `by_prompts`.
    """

    screen: str
    units: str
    kind: ScreenKind
    average_precision: float | None
    corrected_average_precision: float | None
    low: float | None
    high: float | None
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    recall_at: dict[str, float | None]
    precision_at: dict[str, float]
    late_share: float
    listed: int
    top: tuple[str, ...]
    seconds: float
    stability: float | None
    by_prompts: dict[str, Stability]

    @property
    def name(self) -> str:
        """The screen with its units, as in "gradient, raw"."""
        return f"{self.screen}, {self.units}"

    @property
    def value(self) -> float:
        """The corrected average precision; nan where it is not defined."""
        score = self.corrected_average_precision
        return math.nan if score is None else score

    @property
    def against_chance(self) -> AgainstChance:
        """On which side of chance the interval of its AUROC lies."""
        low, high = bounds(self.auroc_low, self.auroc_high)
        if high < 0.5:
            return "below"
        return "above" if low > 0.5 else "unclear"

    @property
    def counts(self) -> list[int]:
        """The numbers of prompts it was run on, ascending."""
        return sorted(map(int, self.by_prompts))

    def against(self, other: "ScreenScore") -> Standing:
        """Where its score stands to another's."""
        if self.value > other.value:
            return "above"
        return "below" if self.value < other.value else "level with"

    def apart_from(self, other: "ScreenScore") -> bool:
        """Whether the intervals of the two scores have nothing in common."""
        low, high = bounds(self.low, self.high)
        other_low, other_high = bounds(other.low, other.high)
        return low > other_high or other_low > high

    def clearly_above(self, other: "ScreenScore") -> bool:
        """Whether its score is the higher one, with intervals apart."""
        return self.against(other) == "above" and self.apart_from(other)


class Effect(Value):
    """How far what opens lies above other branches of its layer: Cliff's delta in [-1, 1]."""

    effect: float | None
    low: float | None
    high: float | None
    n: int
    median_open: float
    median_others: float | None

    @property
    def side(self) -> Side:
        """On which side of the others the interval of the effect puts what opens."""
        low, high = bounds(self.low, self.high)
        if high < 0:
            return "lower"
        return "higher" if low > 0 else "not different"


class LayerCount(Value):
    """Weighted counts of the branches of one layer: those that open, and all."""

    layer: int
    open: float
    branches: float


class ContrastCheck(Value):
    """How the two contrast sets differ before a model reads them (screens/diagnostics.py)."""

    positive: int
    negative: int
    length_positive: float
    length_negative: float
    length_p: float | None
    shared_vocabulary: float
    words: float | None
    only_on_one_side: tuple[str, ...]
    warnings: tuple[str, ...]


class Pool(Value):
    """Prompts that screens may learn from: the size of each set, and the hash of their texts."""

    positive: int
    negative: int
    selection: int
    sha256: str
