"""How likely branches are to be observed open: both forecast curves, and the chances from them.

Nothing is generated under a dose, so chances stand in the commitment beside both edges.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.errors import Inconclusive
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.curves import (
    Rungs,
    divergence_curves,
    odds_curves,
    reply_curves,
    reply_shares,
)
from fulcra.ladders.flip_ladder import EXCESS, flipped_text
from fulcra.ladders.kl_ladder import LEVEL
from fulcra.ladders.trigger_ladder import Openings
from fulcra.law.chance import FROZEN, Curves, Look, chances
from fulcra.protocol.curtail import Measure, verdict_question
from fulcra.protocol.subject import Subject

Floats = NDArray[np.float64]

#: A mean divergence [nats a token] beyond which the text is lost whatever else is so: ceilings lie
#: at .3 to 1.3. Neither odds nor replies are looked at there.
LOST = 3.0
#: Generic texts that divergences are taken on: the whole curve, so fewer than an edge's.
TEXTS = 4


class ChanceTexts(NamedTuple):
    """What the curves of one subject are measured on: openings, generic text, flipped replies."""

    openings: Openings
    generic: GenericText
    replies: GenericText

    @classmethod
    def of(cls, subject: Subject, count: int = TEXTS) -> "ChanceTexts":
        """Openings and replies of the selection prompts, `count` generic texts.

        Inconclusive where the behavior declares no openings, BehaviorError where no reply is left.
        """
        behavior = subject.behavior
        if subject.openings is None:
            raise Inconclusive(
                f"behavior {behavior.name}: no openings, so no flip can be forecast; give target"
                " and control ones"
            )
        replies = flipped_text(subject.model, behavior.selection, behavior.system, behavior.horizon)
        return cls(subject.openings, subject.ground.text.first(count), replies)


class BranchCurves(NamedTuple):
    """The forecast curves of some branches, nan on rungs that do not exist or are lost.

    `odds` [branch, gain, prompt] nats; `divergence` and its `tail` [branch, gain] nats a token;
    `replies` [branch, gain]: the share of odd tokens in flipped replies.
    """

    odds: Tensor
    divergence: Tensor
    tail: Tensor
    replies: Tensor


class Chance(NamedTuple):
    """The chances of the three ends of one branch (law/chance.py); they sum to 1."""

    under: float
    open: float
    over: float


def measured_curves(
    subject: Subject, branches: Sequence[Coordinate], texts: ChanceTexts, gains: Sequence[float]
) -> BranchCurves:
    """The curves of branches over a ladder of gains; nothing is generated under a dose."""
    rungs = Rungs.of(branches, gains)
    nats = divergence_curves(subject.model, texts.generic, rungs)
    rungs = rungs.below(nats[..., 0], LOST)
    odds = odds_of(subject, texts, rungs)
    return BranchCurves(odds, nats[..., 0], nats[..., 1], replies_of(subject, texts, rungs))


def odds_of(subject: Subject, texts: ChanceTexts, rungs: Rungs) -> Tensor:
    """The log-odds of target against control openings, [branch, gain, prompt]."""
    return odds_curves(subject.model, texts.openings, rungs)


def replies_of(subject: Subject, texts: ChanceTexts, rungs: Rungs) -> Tensor:
    """The share of odd tokens in flipped replies, [branch, gain]."""
    ground = subject.ground
    level = ground.standard.surprise_level
    return reply_curves(subject.model, texts.replies, level, ground.reference, rungs)


def undosed_share(subject: Subject, texts: ChanceTexts) -> float:
    """The share of odd tokens that the undosed model expects in the flipped replies."""
    ground = subject.ground
    level, reference = ground.standard.surprise_level, ground.reference
    return float(reply_shares(subject.model, texts.replies, level, reference, [None])[0])


def combined_cost(replies: Floats, undosed: float, divergence: Floats) -> Floats:
    """What a dose costs in coherence by both statistics, each over the level of its ladder.

    That is how far the share of odd tokens exceeds the undosed one, and the mean divergence.
    """
    excess: Floats = np.maximum(replies - undosed, 0.0)
    return excess / EXCESS + divergence / LEVEL


def look_of(prompts: int, measure: Measure) -> Look:
    """How a rung is measured: a sequential test gives it up where none of the first flips."""
    first = verdict_question(prompts, measure).look if measure == "sequential" else prompts
    return Look(prompts, first)


def branch_chances(
    subject: Subject,
    branches: Sequence[Coordinate],
    gains: Sequence[float],
    look: Look,
    texts: ChanceTexts,
) -> list[Chance]:
    """The chances of every branch by the frozen noise; those of branches without a rung are under.

    Cost: some two to three times both ladders of as many branches.
    """
    curves = measured_curves(subject, branches, texts, gains)
    odds, divergence, replies = (
        curve.double().numpy() for curve in (curves.odds, curves.divergence, curves.replies)
    )
    cost = combined_cost(replies, undosed_share(subject, texts), divergence)
    ends = chances(Curves(odds, cost[..., None]), FROZEN, look)
    return [Chance(*map(float, each)) for each in zip(*ends, strict=True)]
