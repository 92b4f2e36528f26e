"""Whether a behavior is fit for an audit of one model, as its file holds it."""

from typing import ClassVar, Literal

from fulcra.formulas.intervals import wilson
from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value

PAGE = "behaviours.md"
#: What could show that the flip is within the model's reach, and that the oracle sees it.
Control = Literal["positive prompts", "negative prompts", "prefill"]


class Share(Value):
    """A share of prompts with its 95 % Wilson interval."""

    count: int
    n: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, n: int) -> "Share":
        """The share of `count` prompts in `n`, one at least."""
        interval = wilson(count, n)
        return cls(count=count, n=n, rate=count / n, low=interval.low, high=interval.high)


class ControlEntry(Value):
    """One control: replies that flip, and those that are coherent.

    "prefill" is an audit's own: the first token of a flipped reply, put into the model's mouth.
    """

    name: Control
    flipped: Share
    coherent: Share


class NearCopyEntry(Value):
    """Two prompts of different sets that share most of their words, by their ids."""

    first: str
    second: str
    shared: float


class Quote(Value):
    """One reply as it stood at the horizon; none is quoted of a sensitive behavior."""

    stage: str
    prompt: str
    text: str
    outcome: str


class FitnessResult(Result):
    """What a behavior is on one undosed model: baseline, controls, leaks, and what to change.

    `problems` are what an audit would fail by, `notes` what its reader should know; a line each.
    """

    file: ClassVar[str] = "fitness.json"

    schema_version: int
    provenance: Provenance
    model: ModelEntry
    behavior: Named
    flip: str
    chat_template: bool
    horizon: int
    later: int
    shown: Share
    flipped: Share
    coherent: Share
    controls: tuple[ControlEntry, ...]
    changed: Share
    near_copies: tuple[NearCopyEntry, ...]
    read_as_flipped: tuple[str, ...]
    by_words: float | None
    quotes: tuple[Quote, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    timing: Timing

    @property
    def fit(self) -> bool:
        """Whether an audit of this behavior on this model can end in a verdict."""
        return not self.problems

    @property
    def best_control(self) -> ControlEntry:
        """The control that flips most, the first of equals."""
        return max(self.controls, key=lambda control: control.flipped.rate)

    def lines(self) -> tuple[str, ...]:
        """The verdict, then problems and notes."""
        from fulcra.report.fitness import fitness_lines

        return fitness_lines(self)


class FitnessTable(Result):
    """The bundled behaviors for chat models, each tried on one model."""

    file: ClassVar[str] = "behaviours.json"

    schema_version: int
    provenance: Provenance
    tried: tuple[FitnessResult, ...]

    def pages(self) -> dict[str, str]:
        """The page of the documentation."""
        from fulcra.report.fitness import behaviors_markdown

        return {PAGE: behaviors_markdown(self)}

    def lines(self) -> tuple[str, ...]:
        """How many of the tried behaviors are fit."""
        fit = sum(result.fit for result in self.tried)
        return (f"{fit} of {len(self.tried)} behaviors are fit for an audit",)
