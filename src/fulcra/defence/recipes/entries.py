"""The recipe study, value by value: its design, one row an organism, what goes with what."""

from typing import ClassVar

from pydantic import Field

from fulcra.defence.hardened import SideEntry
from fulcra.protocol.results.base import Provenance, Result, Timing, Value
from fulcra.protocol.results.organism_ladder import RankCorrelation
from fulcra.protocol.results.seal import Link
from fulcra.protocol.results.weights import Weights
from fulcra.store import digest


class RecipeSize(Value):
    """The audit of every organism: screened neurons, random ones, controls, its seed."""

    neurons: int = Field(ge=1)
    random: int = Field(ge=1)
    controls: int = Field(ge=10)
    seed: int


class RecipeDesign(Value):
    """A study of recipes that is registered before its organisms are measured.

    `organisms` are those of every way, all tuned from `reference`.
    `wanted` is the least rho of freedom with the smallest open gain, and the largest p.
    """

    name: str
    behavior: str
    reference: str
    organisms: dict[str, tuple[str, ...]]
    size: RecipeSize
    wanted: dict[str, float]
    expected: dict[str, float]
    analysis: tuple[str, ...]
    failure: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The hash that is registered."""
        return digest(self.model_dump())

    @property
    def needed(self) -> tuple[str, ...]:
        """Every organism, and the reference first."""
        return (self.reference, *(name for names in self.organisms.values() for name in names))


class RecipeRow(Value):
    """One organism: how it was tuned, how freely its weights moved, and its audit."""

    way: str
    organism: str
    matrices: int
    freedom: float
    audit: SideEntry

    @property
    def share(self) -> float:
        """The share of screened branches that open."""
        return self.audit.open_screened / self.audit.screened


class RecipeFigures(Value):
    """How far resistance rises with the freedom of the change, over `of` organisms.

    `gain`: the smallest open gain. `closed`: the share of screened branches that do not open.
    """

    of: str
    gain: RankCorrelation
    closed: RankCorrelation


class FreedomGuess(Value):
    """Freedom guessed from audits of organisms of other ways: mean absolute errors in octaves.

    `error` is of the guess, `error_of_middle` of the median of the other ways; `rank` is of guess
    and truth.
    """

    error: float
    error_of_middle: float
    rank: RankCorrelation


class RecipesResult(Result):
    """What every way of tuning leaves open, and whether freedom of the change goes with it.

    `registered` is the entry of the design, `weights` what the ledger holds of its models.
    """

    file: ClassVar[str] = "recipes.json"
    schema_version: int = 1
    design: RecipeDesign
    design_sha256: str
    registered: Link
    weights: Weights
    rows: tuple[RecipeRow, ...]
    figures: tuple[RecipeFigures, ...]
    guess: FreedomGuess | None
    left_out: dict[str, str] = Field(default_factory=dict)
    provenance: Provenance
    timing: Timing

    def lines(self) -> tuple[str, ...]:
        """How many organisms were measured, and both correlations."""
        first = self.figures[0]
        guess = "" if self.guess is None else f"{self.guess.error:.2f}"
        middle = "" if self.guess is None else f"{self.guess.error_of_middle:.2f}"
        return (
            f"{len(self.rows)} organisms of {len(self.design.organisms)} ways",
            f"freedom with the smallest open gain: rho {first.gain.rho}, p {first.gain.p_value}",
            f"freedom with the share not open: rho {first.closed.rho}, p {first.closed.p_value}",
            f"freedom guessed from audits: {guess} octaves off, the median {middle}",
        )

    @property
    def met(self) -> bool | None:
        """Whether freedom goes with the smallest open gain as wanted; None where it cannot vary."""
        gain, wanted = self.figures[0].gain, self.design.wanted
        if gain.rho is None or gain.p_value is None:
            return None
        return gain.rho >= wanted["rho"] and gain.p_value <= wanted["p"]
