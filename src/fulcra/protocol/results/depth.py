"""How deep the law goes, as study.json holds it: why branches are closed, and what edges share."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.validation import UnitSpread

#: Why a branch is closed. The first three are those of law/verdict.py; `spread`: half of the
#: selection prompts flipped below the ceiling and no gain held half of the confirmation prompts;
#: `unreached`: the ladder ends before either edge.
Reason = Literal["collapse_first", "too_late", "norm_capped", "spread", "unreached"]
REASONS: tuple[Reason, ...] = (
    "collapse_first",
    "spread",
    "unreached",
    "too_late",
    "norm_capped",
)
#: The coordinates that a level can carry over in; `kl` is the gain over that at the ladder's .8
#: nat.
Unit = Literal["gain", "alignment", "dose", "kl"]
UNITS: tuple[Unit, ...] = ("gain", "alignment", "dose", "kl")
#: Pairs of edges measured under two behaviors from which on they are compared.
ENOUGH = 30


class Reasons(Value):
    """Why closed branches are closed: weighed shares of `n`, and a test of three of them.

    `collapsed`: of the replies of collapse_first branches at the first rung from the ceiling on.
    `unchanged`: of those of norm_capped ones at the last rung that exists. `deeper`: AUROC of depth
    for too_late among the closed branches of a case above a quarter of the layers. `tested`: how
    many branches of its reason each test stands on.
    """

    n: int
    shares: dict[Reason, Bounded]
    collapsed: Bounded
    unchanged: Bounded
    deeper: Bounded
    tested: dict[Reason, int]


class Triggers(Value):
    """How far one forecast window tells another's: of the other pole, or of another behavior.

    `rho`: rank correlation of the best forecast log-odds of `pairs` within layers of a case.
    `lift`: of the other's chance, where one `opened`, over the mean of its layer in its pool.
    """

    pairs: int
    rho: Bounded
    opened: int
    lift: Bounded


class Poles(Value):
    """The two poles of a neuron: the measured ceilings of `pairs`, and the forecast triggers.

    `ceilings`: rank correlation within layers of a model; `over_layer`: how much less the other
    pole's ceiling errs than the median of the layer's other neurons [octaves]. Of `drawn` neurons
    drawn on both poles `single` opened on one and `double` on both.
    """

    pairs: int
    ceilings: Bounded
    over_layer: Bounded
    triggers: Triggers
    drawn: int
    single: int
    double: int


class CarriedOver(Value):
    """The mean error [octaves] of a level in one unit, and how much more that is than alignment's.

    `over_alignment` is None of alignment itself.
    """

    error: Bounded
    over_alignment: Bounded | None = None


class Typical(Value):
    """The median of n values with their 10-90 % range."""

    median: float | None
    low: float | None
    high: float | None
    n: int


class Coordinates(Value):
    """In which unit the ceiling of others tells where the replies of `n` branches collapse.

    The level is the median ceiling of the other neurons of a case (`within`), and of all other
    lineages (`across`; of one lineage there is none). `own`: the error of a branch's own measured
    ceiling, `late` its mean, signed, positive where the replies collapse first. `spread`: of the
    log ceiling; `collapse`: the gain there.
    """

    n: int
    own: Bounded
    late: Bounded
    within: dict[Unit, CarriedOver]
    across: dict[Unit, CarriedOver] = Field(default_factory=dict)
    spread: dict[str, UnitSpread]
    collapse: Typical


class Behaviors(Value):
    """The window of one branch under two behaviors of its model.

    `ceilings`, `triggers`: mean distance [octaves] of the gains at which half of the replies
    collapse, and of the measured triggers, over so many pairs; `apart`: the second less the first.
    """

    forecast: Triggers
    ceiling_pairs: int
    ceilings: Bounded
    trigger_pairs: int
    triggers: Bounded
    apart: Bounded

    @property
    def decided(self) -> bool:
        """Whether enough branches were measured under two behaviors."""
        return min(self.ceiling_pairs, self.trigger_pairs) >= ENOUGH


class Depth(Value):
    """What stands beneath the law in one group of lineages."""

    reasons: Reasons
    poles: Poles
    coordinates: Coordinates
    behaviors: Behaviors
