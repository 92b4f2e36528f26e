"""The window screen: every branch's trigger forecast from one next token, the shortlist ranked by its predicted margin."""

from collections.abc import Callable, Sequence

from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.intervals import crossing, log2_margin
from fulcra.ladders import kl_ladder
from fulcra.ladders.next_token import NextTokens, next_token_odds
from fulcra.models import Model
from fulcra.models.capture import Stream
from fulcra.models.coordinate import Coordinate, coordinate
from fulcra.types import Behavior, Neuron, Ranking

#: Two rungs suffice to order branches: one where few flip and one near the usual ceiling.
GAINS = (0.45, 0.8)
#: Branches whose ceilings are forecast too, as a multiple of what is asked for.
SHORTLIST = 4


def _forecasts(odds: Tensor) -> list[float | None]:
    """Trigger gain by log-interpolation, for rows of log-odds on the two rungs."""
    return [crossing(GAINS, row, 0.0) for row in odds.tolist()]


def window(
    model: Model,
    behavior: Behavior,
    clean: Stream,
    text: GenericText,
    neurons: Sequence[Neuron],
    count: int,
    advance: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Branches of `neurons` by descending predicted margin log2(ceiling / trigger), then by log-odds; tier 2, no rollouts.

    The trigger of both poles is forecast on the selection split for every neuron; for the best 4 x `count` the ceiling
    too. Cost: 4 short passes a neuron and prompt, and 13 passes over 16 texts for the shortlist.
    """
    branches = [coordinate(model, clean, branch) for neuron in neurons for branch in (neuron, neuron.opposite)]
    tokens = NextTokens(model, behavior.selection, behavior.system)
    odds = next_token_odds(model, tokens, [at.dose(gain) for at in branches for gain in GAINS], advance).unflatten(0, (-1, len(GAINS)))
    triggers, best = _forecasts(odds), odds.amax(-1).tolist()
    order = sorted(range(len(branches)), key=lambda i: (triggers[i] if triggers[i] is not None else float("inf"), -best[i]))
    short = order[: SHORTLIST * count]
    margins = dict(zip(short, _margins(model, [branches[i] for i in short], [triggers[i] for i in short], text), strict=True))
    final = sorted(short, key=lambda i: -margins[i]) + order[len(short) :]
    names = [at.branch for at in branches if isinstance(at.branch, Neuron)]
    return Ranking("window", tuple(names[i] for i in final), tuple(margins.get(i, best[i] - 1e3) for i in final))


def _margins(model: Model, branches: Sequence[Coordinate], triggers: Sequence[float | None], text: GenericText) -> list[float]:
    """Predicted margins; a trigger beyond the rungs counts as twice the last one, a ceiling beyond its ladder as its last rung."""
    margins = []
    for trigger, ceiling in zip(triggers, kl_ladder(model, branches, text), strict=True):
        margins.append(log2_margin(ceiling.gain or 5.0, trigger or 2 * GAINS[-1]) or 0.0)
    return margins
