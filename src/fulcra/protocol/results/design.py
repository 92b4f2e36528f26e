"""The design of a registered study: what is predicted, measured and concluded, before it is."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.chances import NoiseEntry
from fulcra.protocol.results.split import Lineage, Split
from fulcra.store import digest


class DesignSize(Value):
    """How much is measured.

    The ceilings of `neurons` a layer; of each model and behavior the chances of both poles of
    `pool` neurons, and the windows of `branches` drawn from them by chance, `floor` added to each
    chance. `prompts`: of selection, and of confirmation, or as many as a behavior has.
    """

    neurons: int = Field(ge=1)
    pool: int = Field(ge=1)
    branches: int = Field(ge=1)
    prompts: int = Field(ge=6)
    floor: float = Field(gt=0)
    gains: tuple[float, ...]
    measure: Literal["full", "curtailed", "sequential"]
    seed: int


class Wanted(Value):
    """What the study is to show on held-out lineages; each is met or missed, and none is moved."""

    ceiling_mae: float
    ceiling_p: float
    open: int
    l3_auroc: float
    l3_half_width: float
    precision: float
    calibration_error: float
    brier_p: float
    precision_32: float


class Power(Value):
    """How exactly the AUROC of a level would be known, from as many branches of either kind."""

    auroc: float
    open: int
    closed: int
    half_width: float
    prompts: int
    decided_at: tuple[float, float]


class Design(Value):
    """A study that is registered before anything held out is measured.

    `ceiling` is the predictor under test, `beside` those it is held against. Chances are taken with
    `noise`. Lineages named in `apart` are reported by themselves: somebody has looked at ceilings
    of theirs. `sizes` replaces what `size` says for a lineage by name.
    """

    name: str
    held_out: tuple[Lineage, ...]
    apart: tuple[str, ...] = ()
    size: DesignSize
    sizes: dict[str, DesignSize] = Field(default_factory=dict)
    ceiling: str
    beside: tuple[str, ...]
    noise: NoiseEntry
    wanted: Wanted
    power: Power
    analysis: tuple[str, ...]
    failure: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The hash that is registered."""
        return digest(self.model_dump())

    @property
    def split(self) -> Split:
        """The lineages as a split without development."""
        return Split(development=(), held_out=self.held_out)

    def size_of(self, lineage: str) -> DesignSize:
        """How much is measured of one lineage."""
        return self.sizes.get(lineage, self.size)
