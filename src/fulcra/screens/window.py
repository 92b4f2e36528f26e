"""The window screen: branches by the margin that next tokens and the KL ladder predict."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing, log2_margin
from fulcra.ladders import kl_ladder
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.next_token import NextTokens, next_token_odds, promising
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.contrastive import activation_gaps
from fulcra.screens.objective import with_phrases
from fulcra.screens.scores import Clean, clean_ground
from fulcra.types import Behavior, Neuron, Ranking

#: Two rungs suffice to order branches: one where few flip and one near the usual ceiling.
SCREEN_GAINS = (0.45, 0.8)
#: Branches whose ceilings are forecast too, as a multiple of what is asked for.
SHORTLIST = 4
#: Branches asked for.
COUNT = 32


def window(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    neurons: Sequence[Neuron] | None = None,
    count: int = COUNT,
    advance: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Branches of `neurons` by descending predicted margin log2(ceiling / trigger), then log-odds.

    Tier 2, no rollouts. `neurons` are the sweep's candidates if none are named. Every branch is
    looked at on two selection prompts at the upper rung; the trigger of the best eighth is forecast
    on all of them, and the ceiling too for the best 4 x `count`. Cost: about 8 short passes a
    neuron.
    """
    ground = clean or clean_ground(model, behavior)
    if neurons is None:
        neurons = sweep_candidates(model, ground.stream, activation_gaps(model, behavior))
    poles = [pole for neuron in neurons for pole in (neuron, neuron.opposite)]
    every = [coordinate(model, ground.stream, pole) for pole in poles]
    prompts, system = with_phrases(behavior, behavior.selection), behavior.system
    doses = [coord.dose(coord.within(SCREEN_GAINS[-1])) for coord in every]
    # a neuron may be among them on both poles
    branches = [every[i] for i in promising(model, prompts, system, doses, advance, 2 * count)]
    odds = _odds(model, NextTokens(model, prompts, system), branches)
    triggers, best = (
        [crossing(SCREEN_GAINS, row, 0.0) for row in odds.tolist()],
        odds.amax(-1).tolist(),
    )
    reached = [math.inf if trigger is None else trigger for trigger in triggers]
    order = sorted(range(len(branches)), key=lambda i: (reached[i], -best[i]))
    # what moves nothing has a high ceiling and no trigger: it is left out, else it would have the
    # largest margin
    short = {i: gain for i in order[: SHORTLIST * count] if (gain := triggers[i]) is not None}
    predicted = _margins(model, [branches[i] for i in short], list(short.values()), ground.text)
    margins = dict(zip(short, predicted, strict=True))
    final = sorted(short, key=lambda i: -margins[i]) + [i for i in order if i not in short]
    names = [coord.branch for coord in branches if isinstance(coord.branch, Neuron)]
    scores = tuple(margins.get(i, best[i] - 1e3) for i in final)
    return Ranking("window", tuple(names[i] for i in final), scores)


def _odds(model: Model, tokens: NextTokens, branches: Sequence[Coordinate]) -> Tensor:
    """Log-odds (nats) of every branch on the two rungs, [branch, rung]."""
    doses = [coord.dose(coord.within(gain)) for coord in branches for gain in SCREEN_GAINS]
    return next_token_odds(model, tokens, doses).reshape(len(branches), len(SCREEN_GAINS))


def _margins(
    model: Model, branches: Sequence[Coordinate], triggers: Sequence[float], text: GenericText
) -> list[float]:
    """Predicted margins; a ceiling beyond its ladder counts as its last rung."""
    ceilings = kl_ladder(model, branches, text) if branches else []
    return [
        log2_margin(ceiling.gain or CEILING_GAINS[-1], trigger) or 0.0
        for trigger, ceiling in zip(triggers, ceilings, strict=True)
    ]
