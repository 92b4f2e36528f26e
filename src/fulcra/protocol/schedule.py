"""The ladders of a curtailed measurement, stage by stage, from commitment and records alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fulcra.law.edges import measured_ceiling
from fulcra.law.verdict import observe
from fulcra.protocol.curtail import (
    MEASURES,
    Key,
    Measure,
    Question,
    curtailed,
    drawn_order,
    edge_question,
    half_question,
    verdict_question,
)
from fulcra.protocol.records import CEILING, EARLIER, Record
from fulcra.protocol.results.commitment import BranchEntry, Commitment
from fulcra.protocol.staged import Evidence
from fulcra.types import Behavior, Prompt

#: Whose prompts, in whose order, and what must be answered, by stage.
PROMPTS_OF = {
    CEILING: CEILING,
    "selection": "selection",
    "confirmation": "confirmation",
    "pins": "confirmation",
    EARLIER: "selection",
    "control": "confirmation",
}
QUESTIONS: Mapping[str, Callable[[int, Measure], Question]] = {
    CEILING: edge_question,
    "selection": edge_question,
    "confirmation": verdict_question,
    "pins": half_question,
    EARLIER: edge_question,
    "control": verdict_question,
}
Ladders = Mapping[str, Sequence[float]]


class Schedule(NamedTuple):
    """What one stage asks for: doses by branch, prompts in drawn order, the question."""

    ladders: Ladders
    prompts: Sequence[str]
    question: Question

    def keys(self, answers: Callable[[Sequence[Key]], Sequence[bool]]) -> list[Key]:
        """The rollouts that decide the stage, asked for in waves."""
        return curtailed(self.ladders, self.prompts, self.question, answers)


def measure_of(content: Commitment) -> Measure:
    """How a committed run is measured; runs of the first versions are full."""
    name = content.plan.settings.get("measure", "full")
    return next((measure for measure in MEASURES if measure == name), "full")


def asking(behavior: Behavior) -> tuple[Prompt, ...]:
    """The positive prompts, as many as confirmation has; none in a world, which refuses them."""
    in_a_world = any(prompt.request is not None for prompt in behavior.positive)
    return () if in_a_world else behavior.positive[: len(behavior.confirmation)]


def orders_of(behavior: Behavior, seed: int) -> dict[str, tuple[str, ...]]:
    """The prompts of each set, in the order they are rolled out."""
    generic = [f"{CEILING}-{i}" for i in range(len(behavior.ceiling_generic))]
    sets = {
        "selection": [prompt.id for prompt in behavior.selection],
        CEILING: generic,
        "confirmation": [prompt.id for prompt in behavior.confirmation],
    }
    return {name: tuple(drawn_order(ids, name, seed)) for name, ids in sets.items()}


def schedule(
    stage: str, ladders: Ladders, content: Commitment, records: Sequence[Record]
) -> Schedule:
    """What a stage asks for, after the records of the stages before it.

    Prompts that leak undosed are not rolled out. A trigger is climbed no further than the first
    rung at or above the measured ceiling, an earlier write only for branches observed as closed.
    """
    evidence = Evidence(records, content.plan.horizons)
    order = (content.plan.orders or {})[PROMPTS_OF[stage]]
    prompts = [prompt for prompt in order if prompt not in evidence.leaking]
    if stage in ("selection", EARLIER):
        ladders = _below_ceilings(stage, ladders, content, evidence)
    question = QUESTIONS[stage](len(prompts), measure_of(content))
    return Schedule(ladders, prompts, question)


def _below_ceilings(
    stage: str, ladders: Ladders, content: Commitment, evidence: Evidence
) -> Ladders:
    entries = {entry.branch: entry for entry in content.branches}
    limited: dict[str, Sequence[float]] = {}
    for name, doses in ladders.items():
        entry, gains = entries[name], content.gains_of(entries[name])
        if stage == EARLIER and not _closed(evidence, entry, gains):
            continue
        edge = measured_ceiling(entry.coordinate, gains, evidence.coherence(name, gains)).gain
        above = (i for i, dose in enumerate(doses) if edge is not None and dose >= edge)
        limited[name] = doses[: next(above, len(doses)) + 1]
    return limited


def _closed(evidence: Evidence, entry: BranchEntry, gains: Sequence[float]) -> bool:
    flips = evidence.flips("confirmation", entry.branch, gains, evidence.verdict_horizon)
    return observe(gains, flips).verdict == "closed"


def happened(stage: str, record: Record) -> bool:
    """What a stage asks of a rollout at the last horizon: lost coherence, or a flip."""
    horizon = record.horizons[-1]
    return not record.coherent(horizon) if stage == CEILING else record.flipped(horizon)
