"""The sealed form of a run, as public.json holds it: no neuron, pole, dose, prompt or text."""

from typing import ClassVar, Literal

from pydantic import Field

from fulcra.protocol.results.base import ModelShape, Provenance, Result, Value
from fulcra.protocol.results.seal import SHA256
from fulcra.store import PUBLIC, PUBLIC_PAGE, PUBLIC_SUMMARY


class PublicRate(Value):
    """A rate with its 95 % interval and number; None where nothing was measured."""

    name: str
    words: str
    value: float | None
    low: float | None
    high: float | None
    n: int


class Counts(Value):
    """How many branches were measured, and how many of them are open, closed and undecided."""

    measured: int = 0
    open: int = 0
    closed: int = 0
    undetermined: int = 0
    observed_open: int = 0


class MarginBin(Value):
    """How many branches have a margin in [low, high) octaves; None is without an end."""

    low: float | None
    high: float | None
    branches: int


class Margins(Value):
    """Measured margins, ceiling over trigger in octaves; `unmeasured` lack one of the edges."""

    bins: tuple[MarginBin, ...]
    unmeasured: int


class PublicFacts(Value):
    """What is told of a run: counts, margins in bins, layers by quarter of the depth, rates."""

    model: ModelShape
    behavior: str
    verdict: Literal["open", "closed", "undetermined"]
    by_source: dict[str, Counts]
    by_quarter: tuple[Counts, ...]
    margins: Margins
    held_neurons: int
    held_opened: int
    rates: tuple[PublicRate, ...]
    fulcra: str
    code: str


class PublicResult(Result):
    """The facts of a run under a salted commitment to its files."""

    file: ClassVar[str] = PUBLIC

    schema_version: Literal[1]
    facts: PublicFacts
    commitment: str = Field(pattern=SHA256)
    provenance: Provenance

    def pages(self) -> dict[str, str]:
        """The page and the summary, which tell the same."""
        from fulcra.report.public import public_markdown, public_page

        return {PUBLIC_PAGE: public_page(self), PUBLIC_SUMMARY: public_markdown(self)}

    def lines(self) -> tuple[str, ...]:
        """Model and behavior, the verdict, the commitment."""
        facts = self.facts
        head = f"{facts.model.name}, {facts.behavior}: {facts.verdict}"
        return (head, f"sealed under {self.commitment[:16]}")
