"""One branch in the units of its model: budget B = |r|/|v|, clean alignment c0, doses and gains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fulcra.errors import InputError
from fulcra.formulas.budget import dose_of_gain
from fulcra.formulas.saturation import alignment_after, alignment_of_gain, gain_of_alignment
from fulcra.types import Branch, Direction, Edge, Edit, Op, Positions

if TYPE_CHECKING:
    from fulcra.formulas.post_norm import Turning

#: Share of cos_max that is asked for where a rung lies beyond the cap.
BELOW_CAP = 0.98


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One branch in the units of its model: budget, and clean alignment c0 along its pole.

    The budget in activation units, for a direction in multiples of its vector. Where a norm follows
    the MLP, `turning` says how a dose turns the stream: rungs are set in realised alignment c with
    u = gamma * v, and the gain of a rung is c / sqrt(1 - c^2). The budget there is that of a small
    dose.
    """

    branch: Branch
    budget: float
    alignment0: float
    turning: "Turning | None" = None
    cap_alignment: float | None = None
    """cos_max, the alignment that no dose exceeds; None where there is no cap."""

    @property
    def cap_gain(self) -> float | None:
        """The gain of cos_max, where the ladder ends; None where there is no cap."""
        return (
            None if self.cap_alignment is None else max(gain_of_alignment(self.cap_alignment), 0.0)
        )

    def reaches(self, gain: float) -> bool:
        """Whether the rung at `gain` exists: always, but beyond the normalization cap."""
        return self.turning is None or not math.isinf(self.turning.dose(alignment_of_gain(gain)))

    def rungs(self, gains: Sequence[float]) -> int:
        """How many first rungs of an increasing ladder exist."""
        return sum(self.reaches(gain) for gain in gains)

    def within(self, gain: float) -> float:
        """The gain itself, or just below the normalization cap where the cap is lower."""
        if self.reaches(gain) or self.cap_alignment is None:
            return gain
        return max(gain_of_alignment(max(BELOW_CAP * self.cap_alignment, 0.0)), 0.0)

    def dose(self, gain: float, positions: Positions = "all") -> Edit:
        """The additive edit of `gain` budgets along this branch.

        InputError for a rung beyond the cap (ask `reaches` first).
        """
        op: Op = "add_vector" if isinstance(self.branch, Direction) else "add"
        return Edit(self.branch, op, self.alpha(gain) * self.branch.pole, gain, positions)

    def alpha(self, gain: float) -> float:
        """The size of the dose at `gain` [activation units]; InputError beyond the cap.

        0 where the clean stream is beyond that rung.
        """
        if self.turning is None:
            return dose_of_gain(gain, self.budget)
        alpha = self.turning.dose(alignment_of_gain(gain))
        if math.isinf(alpha):
            raise InputError(
                f"{self.branch}: gain {gain:g} asks for alignment {alignment_of_gain(gain):.3f},"
                f" but the norm after the MLP caps it at {self.turning.cap:.3f}; leave the rung out"
                " (Coordinate.reaches) and count the branch as norm_capped"
            )
        return alpha

    def alignment(self, gain: float) -> float:
        """cos(r, v) after a dose of `gain`, from the mean c0.

        With u where a norm follows the MLP.
        """
        return (
            alignment_after(gain, self.alignment0)
            if self.cap_alignment is None
            else max(self.alignment0, alignment_of_gain(gain))
        )

    def edge(
        self,
        gain: float | None,
        method: str,
        tier: int,
        low: float | None = None,
        high: float | None = None,
    ) -> Edge:
        """An edge of this branch's window at `gain`."""
        return Edge(gain, method, tier, low, high, None if gain is None else self.alignment(gain))
