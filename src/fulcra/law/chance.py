"""How likely a branch is observed open: from both forecast curves, not only their crossings.

Open needs half of the prompts to flip and to stay coherent at one and the same gain, so both
chances are taken at every gain and joined prompt by prompt (law.md section 3). Nothing is
generated.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from fulcra.formulas.poisson_binomial import at_least, count_chances
from fulcra.law.edges import HALF

Curve = Float[np.ndarray, "branch gain prompt"]
Measured = Float[np.ndarray, "prompt branch gain"]
Floats = NDArray[np.float64]

#: Nodes of the quadrature over the offset of one ladder.
NODES = 7
#: The least cost that is told from none: a curve may start at 0, which has no logarithm.
LEAST_COST = 1e-3
#: Branches whose chances are worked out at once.
TOGETHER = 128


class Noise(NamedTuple):
    """How far observations lie from the forecast curves: five numbers, learned on other branches.

    `flip_at` [nats]: log-odds at which half of the prompts flip; `flip_scale` [nats]: the scale of
    the logistic around it. `cost_at`: the cost at which half of the replies lose coherence;
    `cost_scale`: the scale around its logarithm. `shared`: the standard deviation, in either scale,
    of the offset that all prompts and gains of one branch share, one offset a ladder.
    """

    flip_at: float
    flip_scale: float
    cost_at: float
    cost_scale: float
    shared: float


#: What the cost of a dose is measured by: the excess of odd tokens in flipped replies and the
#: divergence of generic text, each over the level of its ladder. Of four statistics the one whose
#: chances lose least where they are learned on one organism and tested on the other.
STATISTIC: Literal["both"] = "both"
#: Learned (`law/chance_learning.py`) on the censuses of the two bundled development organisms, and
#: the `pooled` noise of docs/evidence/chances.json. Never fitted on a model that is forecast.
FROZEN = Noise(
    flip_at=1.51892, flip_scale=2.98469, cost_at=0.612529, cost_scale=1.37867, shared=0.358588
)
LEARNED_ON = ("apothecary-sparse", "apothecary-dense")


class Curves(NamedTuple):
    """The two forecast curves of some branches, nan on rungs that do not exist.

    `odds`: log-odds of target against control openings [nats], one a prompt. `cost`: what a dose
    costs in coherence (any statistic that rises with damage), one a prompt or one for all.
    """

    odds: Curve
    cost: Curve


class Look(NamedTuple):
    """How a rung is measured: on `prompts`, of which `first` are looked at before the others.

    Where none of the first flips, the others are not rolled out and the rung counts as no flip.
    """

    prompts: int
    first: int


class Chances(NamedTuple):
    """The chances of the three ends of each branch, [branch]; they sum to 1.

    `under`: no prompt flips coherently at any gain. `open`: half of them do at some gain. `over`:
    some flip and never half, as the doses that would flip the rest take the text with them.
    """

    under: Floats
    open: Floats
    over: Floats


def chances(curves: Curves, noise: Noise, look: Look, nodes: int = NODES) -> Chances:
    """The chances of the three ends of every branch.

    At a gain a prompt flips coherently with logistic((odds - flip_at) / flip_scale + a) x
    logistic(log(cost_at / cost) / cost_scale + b). a and b ~ N(0, shared^2) are the branch's
    offsets, integrated out by Gauss and Hermite, `nodes` nodes each. Given both, prompts are
    independent (Poisson-binomial) and rungs are not: what is hard to flip at one gain is hard at
    the next, so the best rung decides open and under (the largest chance of half, the smallest of
    none). The measured prompts are spread like the forecast ones.
    """
    parts = [np.zeros((2, 0))]
    for start in range(0, len(curves.odds), TOGETHER):
        batch = slice(start, start + TOGETHER)
        part = Curves(curves.odds[batch], curves.cost[batch])
        parts.append(_chances(part, noise, look, offsets_of(noise.shared, nodes)))
    under, opened = np.concatenate(parts, 1)
    return Chances(under, opened, np.clip(1 - under - opened, 0.0, 1.0))


def _chances(curves: Curves, noise: Noise, look: Look, offsets: tuple[Floats, Floats]) -> Floats:
    """The chances of under and of open, [end, branch]."""
    flip, coherent = (_of_prompts(score, look) for score in scores(curves, noise))
    total = np.zeros((2, len(curves.odds)))
    for a, share in zip(*offsets, strict=True):
        flips = _logistic(flip + a)
        for b, part in zip(*offsets, strict=True):
            total += share * part * _ends(flips * _logistic(coherent + b), look)
    return total


def scores(curves: Curves, noise: Noise) -> tuple[Curve, Curve]:
    """What the two logistics are taken of, without an offset; -inf on rungs that do not exist."""
    flip = (curves.odds - noise.flip_at) / noise.flip_scale
    cost = np.log(np.maximum(curves.cost, LEAST_COST))
    coherent = (math.log(noise.cost_at) - cost) / noise.cost_scale
    return np.where(np.isnan(flip), -np.inf, flip), np.where(np.isnan(cost), -np.inf, coherent)


def offsets_of(shared: float, nodes: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the quadrature over an offset ~ N(0, shared^2); one node where it is 0.

    By Gauss and Hermite: exact for polynomials of degree 2 `nodes` - 1.
    """
    if shared == 0:
        return np.zeros(1), np.ones(1)
    places, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return shared * places, weights / weights.sum()


def _of_prompts(score: Curve, look: Look) -> Measured:
    """The scores of the measured prompts, those of the first look last; [prompt, branch, gain].

    Each is like a forecast one, in turn.
    """
    like = np.arange(look.prompts) * score.shape[-1] // look.prompts
    first = np.linspace(0, look.prompts - 1, look.first).round().astype(int)
    order = np.concatenate([np.delete(like, first), like[first]])
    return np.ascontiguousarray(np.moveaxis(score, -1, 0)[order])


def _ends(each: Measured, look: Look) -> Floats:
    """The chances of under and open of each branch, [end, branch], given both offsets."""
    half, rest = math.ceil(HALF * look.prompts), look.prompts - look.first
    later = count_chances(each[:rest])
    none = (1 - each[rest:]).prod(0)
    every = count_chances(each[rest:], later)
    # half of the prompts, at least one of the first among them
    opened = np.clip(at_least(every, half) - none * at_least(later, half), 0.0, 1.0)
    return np.stack([none.min(-1), opened.max(-1)])


def _logistic(score: Floats) -> Floats:
    from scipy.special import expit

    chance: Floats = expit(score)
    return chance
