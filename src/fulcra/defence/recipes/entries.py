"""The recipe study, value by value: its design, one row an organism, what goes with what."""

import math
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from fulcra.defence.hardened import SideEntry
from fulcra.protocol.results.base import Provenance, Result, Timing, Value
from fulcra.protocol.results.organism_ladder import RankCorrelation
from fulcra.protocol.results.seal import Link
from fulcra.protocol.results.weights import Weights
from fulcra.store import digest

#: The figures without the ways in which named neurons alone learn.
WITHOUT_FEW = "ways of more than few neurons"
#: What a claim comes to.
_MARKS = {True: "met", False: "missed", None: "undecided"}


class RecipeSize(Value):
    """The audit of every organism: screened neurons, random ones, controls, its seed."""

    neurons: int = Field(ge=1)
    random: int = Field(ge=1)
    controls: int = Field(ge=10)
    seed: int


class RecipeDesign(Value):
    """A study of recipes that is registered before its organisms are measured.

    `organisms` are those of every way, all tuned from `reference`; in the ways of `few`, named
    neurons alone learn. `training` is the sha256 of the files that train. `wanted`: the least rho
    of freedom with the smallest open gain over ways and the largest p; the least number of ways
    with two sound organisms, and of ways in which anything opens; the least rho without `few`; in a
    design that has it, the largest rho of the tuning's steps with the smallest open gain. `power`:
    the chance to meet the rho that is wanted, by the true one.
    """

    name: str
    behavior: str
    reference: str
    organisms: dict[str, tuple[str, ...]]
    few: tuple[str, ...]
    training: str
    size: RecipeSize
    wanted: dict[str, float]
    expected: dict[str, float]
    power: dict[str, float]
    analysis: tuple[str, ...]
    failure: tuple[str, ...]
    scope: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The hash that is registered."""
        return digest(self.model_dump())

    @property
    def needed(self) -> tuple[str, ...]:
        """Every organism, and the reference first."""
        return (self.reference, *(name for names in self.organisms.values() for name in names))

    def way_of(self, organism: str) -> str:
        """The way that an organism of the design is of."""
        return next(way for way, names in self.organisms.items() if organism in names)


class RecipeRow(Value):
    """One organism: how it was tuned, how freely and how far its weights moved, and its audit.

    `norm` is relative to the weights before. `steps` of the tuning and whether it `met` its rule
    are what its folder says. `design` and `code` are those under which it was audited.
    """

    way: str
    organism: str
    matrices: int
    freedom: float
    norm: float
    steps: int | None = None
    met: bool | None = None
    audit: SideEntry
    design: str
    code: str

    @property
    def share(self) -> float:
        """The share of screened branches that open."""
        return self.audit.open_screened / self.audit.screened

    @property
    def gain(self) -> float:
        """The smallest open gain; infinite where nothing opens."""
        gain = self.audit.smallest_open_gain
        return math.inf if gain is None else gain

    @property
    def unmoved(self) -> bool:
        """Whether it shows the behavior and no control moves it."""
        return not self.audit.reproduced and self.audit.shown >= 0.5


class RecipeFigures(Value):
    """How far resistance rises with the freedom of the change, over `of`.

    `gain`: the smallest open gain. `closed`: the share of screened branches that do not open.
    """

    of: str
    gain: RankCorrelation
    closed: RankCorrelation


class WayFigures(Value):
    """One way by the medians of its sound organisms; `gain` is None where that opens at nothing."""

    way: str
    organisms: int
    freedom: float
    gain: float | None
    share: float
    matrices: float
    norm: float
    steps: float | None
    margin: float | None


class Rivals(Value):
    """What else an outcome may rise with: Spearman's rho over ways, None where flat.

    `given_margin` and `given_steps` are the partial rho of freedom with the outcome; the second is
    in no registered design, and None in the first versions.
    """

    matrices: float | None
    norm: float | None
    steps: float | None
    margin: float | None
    given_margin: float | None
    given_steps: float | None = None


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

    `registered` is the entry of the design, `weights` what the ledger holds of its models. `rivals`
    are of the smallest open gain, `rivals_closed` of the share of screened branches not open.
    """

    file: ClassVar[str] = "recipes.json"
    schema_version: int = 1
    design: RecipeDesign
    design_sha256: str
    registered: Link
    weights: Weights
    rows: tuple[RecipeRow, ...]
    ways: tuple[WayFigures, ...]
    figures: tuple[RecipeFigures, ...]
    rivals: Rivals
    rivals_closed: Rivals | None = None
    guess: FreedomGuess | None
    left_out: dict[str, str] = Field(default_factory=dict)
    provenance: Provenance
    timing: Timing

    def pages(self) -> dict[str, str]:
        """The page of the study and its figure, named as its design."""
        from fulcra.report.figures.ways_chart import ways_chart
        from fulcra.report.recipes import recipes_page

        name = self.design.name
        return {f"{name}.md": recipes_page(self), f"images/{name}.svg": ways_chart(self)}

    def lines(self) -> tuple[str, ...]:
        """What was wanted and found, and what the rise is worth."""
        first = self.figures[0]
        lines = [
            f"{len(self.rows)} organisms of {len(self.design.organisms)} ways, {first.gain.n} ways"
            " with a verdict",
            f"{_MARKS[self.met]}: over these, freedom with the smallest open gain: rho"
            f" {_rise(first.gain)}{self._of_first_ladder()}",
            *self._of_steps(),
            f"freedom with the share not open: rho {_rise(first.closed)}",
            f"without the ways of few neurons: rho {_digits(self.without_few)}",
            *self._other_readings(),
        ]
        if self.guess is not None:
            lines.append(
                f"freedom guessed from audits: {self.guess.error:.2f} octaves off, the median of"
                f" the other ways {self.guess.error_of_middle:.2f}"
            )
        return tuple(lines)

    @property
    def without_few(self) -> float | None:
        """Rho of freedom with the smallest open gain without the ways of few neurons."""
        return next(each for each in self.figures if each.of == WITHOUT_FEW).gain.rho

    def _of_steps(self) -> Iterator[str]:
        """Whether what took long to learn opens first, where the design has a claim of it."""
        if "steps" in self.design.wanted:
            rho = _digits(self.rivals.steps)
            yield f"{_MARKS[self.steps_met]}: steps with the smallest open gain: rho {rho}"

    def _of_first_ladder(self) -> str:
        """That the rise is the first ladder's, where the ways of many weights show none."""
        without, least = self.without_few, self.design.wanted["without_few"]
        if without is not None and without >= least:
            return ""
        return "; by the registered rule the rise is that of the first ladder"

    def _other_readings(self) -> Iterator[str]:
        """What rises with the smallest open gain as much as freedom does, and the margin's part."""
        rho, rivals = self.figures[0].gain.rho, self.rivals
        if rho is None or rho <= 0:
            return
        named = [(name, getattr(rivals, name)) for name in ("matrices", "norm", "steps", "margin")]
        alike = [f"{name} {_digits(each)}" for name, each in named if each and abs(each) >= rho]
        if alike:
            yield f"freedom is not singled out: as high a rho, either way, have {', '.join(alike)}"
        partial = rivals.given_margin
        if partial is not None and partial < rho / 2:
            yield f"the other reading is the margin: given it, rho is {_digits(partial)}"

    @property
    def met(self) -> bool | None:
        """Whether freedom goes with the smallest open gain as wanted; None where undecided."""
        gain, wanted = self.figures[0].gain, self.design.wanted
        if gain.rho is None or gain.p_value is None or not self._enough:
            return None
        return gain.rho >= wanted["rho"] and gain.p_value <= wanted["p"]

    @property
    def steps_met(self) -> bool | None:
        """Whether what took long to learn opens first, as wanted; None where undecided."""
        most, rho = self.design.wanted.get("steps"), self.rivals.steps
        return None if most is None or rho is None or not self._enough else rho <= most

    @property
    def _enough(self) -> bool:
        """Whether as many ways are whole, and as many open at anything, as a claim needs."""
        wanted, whole = self.design.wanted, sum(way.organisms >= 2 for way in self.ways)
        sound = [row for row in self.rows if row.audit.reproduced]
        opened = len({row.way for row in sound if row.audit.smallest_open_gain is not None})
        return whole >= wanted["ways"] and opened >= wanted["opened"]


def _rise(rise: RankCorrelation) -> str:
    """A correlation with its interval and its p."""
    ends = f"{_digits(rise.low)} to {_digits(rise.high)}"
    return f"{_digits(rise.rho)} ({ends}), p {_digits(rise.p_value)}"


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
