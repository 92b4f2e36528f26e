"""Both forecast curves of a branch over its whole ladder, where an edge is one crossing of each.

What a curve costs beside its edge: all rungs are measured, so of a trigger ladder whose climb
stops at the edge at most the ladder's length over the climb's (1.0 to 2.2 times), and of a
bisected ceiling the ladder's length over log2 of it (about 3 times). Mean and tail of the
divergence come from the same passes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import clean_tokens, divergences
from fulcra.ladders.passes import Texts
from fulcra.ladders.surprise_ladder import expected_shares, odd_tokens
from fulcra.ladders.trigger_ladder import Openings, opening_odds
from fulcra.models import Model
from fulcra.types import Edit

#: The share of positions whose divergence lies below the tail's.
TAIL = 0.95


class Rungs(NamedTuple):
    """The doses of some branches on one ladder: the branch and rung of each, and the shape."""

    doses: list[Edit]
    branch: list[int]
    rung: list[int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, branches: Sequence[Coordinate], gains: Sequence[float]) -> "Rungs":
        """Every rung that exists of every branch."""
        places = [(b, r) for b, place in enumerate(branches) for r in range(place.rungs(gains))]
        return cls(
            [branches[b].dose(gains[r]) for b, r in places],
            [b for b, _ in places],
            [r for _, r in places],
            (len(branches), len(gains)),
        )

    def below(self, costs: Tensor, most: float) -> "Rungs":
        """Those of the rungs whose cost [branch, gain] is at most `most`."""
        places = [i for i in range(len(self.doses)) if float(costs[self.place(i)]) <= most]
        return Rungs(
            [self.doses[i] for i in places],
            [self.branch[i] for i in places],
            [self.rung[i] for i in places],
            self.shape,
        )

    def place(self, dose: int) -> tuple[int, int]:
        """The branch and the rung of a dose."""
        return self.branch[dose], self.rung[dose]

    def laid_out(self, values: Tensor) -> Tensor:
        """Values [dose, ...] as [branch, gain, ...], nan on rungs that do not exist; on the CPU."""
        curve = torch.full((*self.shape, *values.shape[1:]), torch.nan)
        curve[self.branch, self.rung] = values.float().cpu()
        return curve


def odds_curves(model: Model, openings: Openings, rungs: Rungs) -> Tensor:
    """Log-odds of target against control openings on every rung, nats, [branch, gain, prompt].

    Where `trigger_ladder` takes the first crossing of their mean. Tier 2.
    """
    return rungs.laid_out(opening_odds(model, openings, rungs.doses))


def divergence_curves(model: Model, text: GenericText, rungs: Rungs) -> Tensor:
    """KL(clean || dosed) a token on every rung, nats, [branch, gain, 2]: its mean and its tail.

    `kl_ladder` takes the crossing of the mean; the tail is the quantile TAIL over positions. Tier
    2, of one pass each.
    """
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    clean, values = clean_tokens(model, texts), torch.zeros(len(rungs.doses), 2)
    for place, nats in divergences(model, texts, clean, rungs.doses):
        values[place] = torch.stack([nats.mean(), nats.quantile(TAIL)])
    # between two infinite values lies no number
    return rungs.laid_out(values.nan_to_num(nan=torch.inf))


def reply_curves(
    model: Model, replies: GenericText, level: float, reference: Model, rungs: Rungs
) -> Tensor:
    """The expected share of odd next tokens in flipped replies on every rung, [branch, gain].

    Odd surprises `reference` by more than `level` nats. `flip_ladder` takes the crossing of what
    the share exceeds the undosed one by. Tier 2.
    """
    return rungs.laid_out(reply_shares(model, replies, level, reference, rungs.doses))


def reply_shares(
    model: Model,
    replies: GenericText,
    level: float,
    reference: Model,
    doses: Sequence[Edit | None],
) -> Tensor:
    """The expected share of odd next tokens in flipped replies under each dose, [dose]."""
    texts = Texts.of_pairs(model, replies.prompts, replies.replies)
    return expected_shares(model, texts, odd_tokens(reference, texts, level), doses)
