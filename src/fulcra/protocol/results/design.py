"""The design of a registered study: what is predicted, measured and concluded, before it is."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.chances import NoiseEntry
from fulcra.protocol.results.split import Lineage, Split
from fulcra.store import digest


class DesignSize(Value):
    """How much is measured.

    The ceilings of `neurons` a layer, both poles; of each model and behavior the chances of `pool`
    random branches, and the windows of `branches` drawn from them in proportion to chance +
    `floor`. `prompts`: of selection, and of confirmation, or as many as a behavior has.
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
    """What the study is to show on held-out lineages; each is met or missed, and none is moved.

    `open`: branches observed open, without which the ranks of levels count as undecided.
    `l3_over_trigger_p`: of L3 ranking no better than the measured trigger alone. `likely_error`: of
    calibration from a chance of .1 on. `forecast_ratio`: bounds of forecast over observed openings.
    """

    ceiling_mae: float
    ceiling_p: float
    open: int
    l3_auroc: float
    l3_half_width: float
    l3_over_trigger_p: float
    precision: float
    calibration_error: float
    likely_error: float
    forecast_ratio: tuple[float, float]
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
    of theirs. `sizes` replaces what `size` says for a lineage by name. `expected` is what whoever
    registers it thinks will come out.
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
    expected: dict[str, float]
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

    @property
    def needed(self) -> tuple[str, ...]:
        """Every model and every reference of the study, once."""
        judges = [each.reference for each in self.held_out if each.reference is not None]
        return tuple(dict.fromkeys([*self.split.models, *judges]))

    @property
    def cases(self) -> tuple[tuple[Lineage, str, str], ...]:
        """Every lineage, model and behavior whose windows are measured."""
        return tuple(
            (lineage, model, behavior)
            for lineage in self.held_out
            for model, behaviors in lineage.verdicts.items()
            for behavior in behaviors
        )

    def size_of(self, lineage: str) -> DesignSize:
        """How much is measured of one lineage."""
        return self.sizes.get(lineage, self.size)
