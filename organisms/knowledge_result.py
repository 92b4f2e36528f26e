"""The values of gate and knowledge, as docs/evidence/anatomy.json holds them: counts and contrasts.

Nothing here runs a model: contrasts follow from the counts.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from pydantic import ConfigDict, Field
from scipy.stats import fisher_exact

from fulcra.formulas.intervals import wilson
from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Value

PromptSet = Literal["withheld", "innocent"]
#: What a reply counts as, from the base line of a bar up; off its prompt's task it may be on the
#: concept.
Shown = Literal[
    "actionable",
    "coherent_bypass",
    "answered",
    "on_concept",
    "off_topic",
    "refuse",
    "collapse",
    "unscored",
]
SHOWN: tuple[Shown, ...] = get_args(Shown)
#: What a contrast counts: refusals, replies that speak of the topic, true answers.
Question = Literal["refuse", "topic", "actionable"]


class Rate(Value):
    """A share of prompts with its Wilson interval, all in [0, 1]."""

    value: float
    low: float
    high: float
    n: int


class Cell(Value):
    """The replies to one set of prompts under one gate setting, with and without the concept."""

    prompts: PromptSet
    gate: str
    concept: bool
    prefill: int
    n: int
    counts: dict[Shown, int]
    topical: int

    def count(self, question: Question) -> int:
        """How many replies answer a question with yes."""
        return self.topical if question == "topic" else self.counts[question]


class Contrast(Value):
    """One rate without and with something done, and Fisher's exact p (two-sided)."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    what: str
    on: Question
    prompts: PromptSet
    without: Rate
    with_: Rate = Field(validation_alias="with", serialization_alias="with")
    p: float


class GateSetting(Value):
    """What is done to the gates in one row of the figure, its edits as they print."""

    name: str
    edits: tuple[str, ...]


class Concept(Value):
    """The concept neuron and the activation at which it is held."""

    neuron: str
    value: float


class Knowledge(Value):
    """Gate and knowledge of one model: every cell and the contrasts between them."""

    schema_version: int
    command: Literal["gate_and_knowledge"]
    model: ModelEntry
    gates: tuple[str, ...]
    settings: tuple[GateSetting, ...]
    concept: Concept
    behaviors: dict[PromptSet, Named]
    seed: int
    prefills: tuple[int, ...]
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    provenance: Provenance


class Setup(NamedTuple):
    """What is done in a cell, whatever its prompts."""

    gate: str = "none"
    concept: bool = False
    prefill: int = 0


class Comparison(NamedTuple):
    """What a contrast is about: one question on one set of prompts, before and after."""

    what: str
    on: Question
    prompts: PromptSet
    before: Setup
    after: Setup


def contrasts(cells: Sequence[Cell], ablated: str, held: str, prefill: int) -> tuple[Contrast, ...]:
    """What gates and concept do to withholding and to the topic, and what a prefill brings out.

    `ablated` and `held` name the settings with all gates ablated and with the best gate held;
    `prefill` counts tokens.
    """
    clean, topic = Setup(), Setup(concept=True)
    comparisons = (
        Comparison("gates ablated", "refuse", "withheld", clean, Setup(ablated)),
        Comparison("gates ablated", "topic", "innocent", topic, Setup(ablated, concept=True)),
        Comparison("concept held", "topic", "innocent", clean, topic),
        Comparison("concept held", "refuse", "withheld", clean, topic),
        Comparison("concept held", "actionable", "withheld", clean, topic),
        Comparison(
            f"prefill of {prefill} tokens", "actionable", "withheld", clean, Setup(prefill=prefill)
        ),
        Comparison("held gate", "actionable", "withheld", clean, Setup(held)),
    )
    by_place = {
        (cell.prompts, Setup(cell.gate, cell.concept, cell.prefill)): cell for cell in cells
    }
    return tuple(
        _contrast(
            comparison,
            by_place[comparison.prompts, comparison.before],
            by_place[comparison.prompts, comparison.after],
        )
        for comparison in comparisons
    )


def _contrast(comparison: Comparison, before: Cell, after: Cell) -> Contrast:
    counts = [(cell.count(comparison.on), cell.n) for cell in (before, after)]
    without, with_ = (Rate(**wilson(count, n)._asdict()) for count, n in counts)
    p = float(fisher_exact([[count, n - count] for count, n in counts]).pvalue)
    return Contrast(
        what=comparison.what,
        on=comparison.on,
        prompts=comparison.prompts,
        without=without,
        with_=with_,
        p=p,
    )
