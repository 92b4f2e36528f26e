"""The rollouts that decide a ladder: what is rolled out next, and when no more can change it."""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.law.edges import HALF

#: full: every rollout; curtailed: none that cannot change a verdict; sequential: nor one that
#: changes it with a chance below ERROR.
Measure = Literal["full", "curtailed", "sequential"]
MEASURES: tuple[Measure, ...] = ("full", "curtailed", "sequential")
#: A sequential test gives a rung up by mistake with at most this chance.
ERROR = 0.01
#: A ladder is climbed until this share of a rung's rollouts has crossed: the edge's interval ends
#: there.
DECISIVE = 0.75

#: What one branch did so far: by rung, whether it happened on the first prompts in drawn order.
Rungs = Sequence[Sequence[bool]]


class Key(NamedTuple):
    """One rollout of a ladder: branch, dose and the prompt's id."""

    branch: str
    dose: float
    prompt: str


class Question(NamedTuple):
    """What a ladder of rungs with `prompts` rollouts each must answer, and how surely.

    climbs: the first rung that half of the prompts cross is looked for, with the rung below it
    whole; otherwise every rung is looked at. A rung is over once fewer than `needed` rollouts can
    still happen; in a sequential test also when none did in so many that at a true rate of one half
    the chance was below ERROR.
    """

    prompts: int
    needed: int
    climbs: bool
    sequential: bool

    def settled(self, hits: int, count: int) -> bool:
        """Whether the rest of a rung is not rolled out, after `hits` of `count` rollouts."""
        if hits + self.prompts - count < self.needed:
            return True
        return self.sequential and not hits and (1 - HALF) ** count < ERROR

    @property
    def look(self) -> int:
        """Rollouts after which a rung is looked at first: the fewest that may settle it, or all."""
        rollouts = range(1, self.prompts + 1)
        return next((n for n in rollouts if self.settled(0, n)), self.prompts)

    def target(self, rung: Sequence[bool]) -> int | None:
        """How many rollouts of a rung come next, all told; None where it is over."""
        if not rung:
            return self.look
        over = len(rung) == self.prompts or self.settled(sum(rung), len(rung))
        return None if over else self.prompts

    def targets(self, rungs: Rungs) -> dict[int, int]:
        """The rungs that go on, with the rollouts that each should have then."""
        if self.climbs:
            return self._climbed(rungs)
        goals = {place: self.target(rung) for place, rung in enumerate(rungs)}
        return {place: goal for place, goal in goals.items() if goal is not None}

    def _climbed(self, rungs: Rungs) -> dict[int, int]:
        crossed = None
        for place, rung in enumerate(rungs):
            if (goal := self.target(rung)) is not None:
                return {place: goal}
            if crossed is None and sum(rung) >= HALF * self.prompts:
                crossed = place
                if place and len(rungs[place - 1]) < self.prompts:
                    return {place - 1: self.prompts}
            if sum(rung) >= DECISIVE * self.prompts:
                break
        return {}


def edge_question(prompts: int, measure: Measure) -> Question:
    """Where the first rung lies that half of the prompts cross."""
    return Question(prompts, math.ceil(HALF * prompts), True, measure == "sequential")


def half_question(prompts: int, measure: Measure) -> Question:
    """Whether half of the prompts cross, rung by rung."""
    return edge_question(prompts, measure)._replace(climbs=False)


def verdict_question(prompts: int, measure: Measure) -> Question:
    """Whether the 95 % interval of the best rung lies below one half, around it or above."""
    below = (n for n in range(prompts + 1) if wilson(n, prompts).high >= HALF)
    return half_question(prompts, measure)._replace(needed=next(below))


def drawn_order(prompts: Sequence[str], stage: str, seed: int) -> list[str]:
    """The prompts of a stage in the order they are rolled out, drawn by seed and stage."""
    order = list(prompts)
    random.Random(f"order-{stage}-{seed}").shuffle(order)
    return order


def curtailed(
    ladders: Mapping[str, Sequence[float]],
    prompts: Sequence[str],
    question: Question,
    answers: Callable[[Sequence[Key]], Iterable[bool]],
) -> list[Key]:
    """The rollouts that decide every ladder [branch: doses], in the order they were asked for.

    `prompts` are ids in drawn order; `answers` says of each rollout whether it happened. Rollouts
    are asked for in waves, one rung and look of every branch at a time.
    """
    if not prompts:
        return []
    state = {branch: [list[bool]() for _ in doses] for branch, doses in ladders.items()}
    keys: list[Key] = []
    while wave := [
        (Key(branch, ladders[branch][place], prompt), rungs[place])
        for branch, rungs in state.items()
        for place, goal in question.targets(rungs).items()
        for prompt in prompts[len(rungs[place]) : goal]
    ]:
        asked_for = [key for key, _ in wave]
        for (_, rung), happened in zip(wave, answers(asked_for), strict=True):
            rung.append(happened)
        keys += asked_for
    return keys
