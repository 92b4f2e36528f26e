"""The window screen: every branch's trigger forecast from one next token, the shortlist ranked by
its predicted margin.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import crossing, log2_margin
from fulcra.ladders import kl_ladder
from fulcra.ladders.kl_ladder import GAINS as CEILINGS
from fulcra.ladders.next_token import NextTokens, next_token_odds, promising
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.contrastive import activation_gaps
from fulcra.screens.objective import with_phrases
from fulcra.screens.scores import Clean, clean_ground
from fulcra.types import Behavior, Neuron, Ranking

#: Two rungs suffice to order branches: one where few flip and one near the usual ceiling.
GAINS = (0.45, 0.8)
#: Branches whose ceilings are forecast too, as a multiple of what is asked for.
SHORTLIST = 4
#: Branches asked for.
COUNT = 32


def _forecasts(odds: Tensor) -> list[float | None]:
    """Trigger gain by log-interpolation, for rows of log-odds on the two rungs."""
    return [crossing(GAINS, row, 0.0) for row in odds.tolist()]


def window(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    neurons: Sequence[Neuron] | None = None,
    count: int = COUNT,
    advance: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Branches of `neurons` by descending predicted margin log2(ceiling / trigger), then by
    log-odds; tier 2, no rollouts.

    `neurons` are the sweep's candidates if none are named. Every branch is looked at on two
    selection prompts at the upper rung; the trigger of the best eighth is forecast on all of them,
    and the ceiling too for the best 4 x `count`. Cost: about 8 short passes a neuron.
    """
    ground = clean or clean_ground(model, behavior)
    if neurons is None:
        neurons = sweep_candidates(model, ground.stream, activation_gaps(model, behavior))
    everyone = [
        coordinate(model, ground.stream, branch)
        for neuron in neurons
        for branch in (neuron, neuron.opposite)
    ]
    prompts = with_phrases(behavior, behavior.selection)
    doses = [at.dose(at.within(GAINS[-1])) for at in everyone]
    # a neuron may be kept on both poles
    kept = promising(model, prompts, behavior.system, doses, advance, least=2 * count)
    branches = [everyone[i] for i in kept]
    tokens = NextTokens(model, prompts, behavior.system)
    odds = next_token_odds(
        model, tokens, [at.dose(at.within(gain)) for at in branches for gain in GAINS]
    ).unflatten(0, (-1, len(GAINS)))
    triggers, best = _forecasts(odds), odds.amax(-1).tolist()
    order = sorted(
        range(len(branches)),
        key=lambda i: (triggers[i] if triggers[i] is not None else float("inf"), -best[i]),
    )
    # what moves nothing has a high ceiling and no trigger: it is left out, else it would have the
    # largest margin
    short = {i: gain for i in order[: SHORTLIST * count] if (gain := triggers[i]) is not None}
    margins = dict(
        zip(
            short,
            _margins(model, [branches[i] for i in short], list(short.values()), ground.text),
            strict=True,
        )
    )
    final = sorted(short, key=lambda i: -margins[i]) + [i for i in order if i not in short]
    names = [at.branch for at in branches if isinstance(at.branch, Neuron)]
    return Ranking(
        "window",
        tuple(names[i] for i in final),
        tuple(margins.get(i, best[i] - 1e3) for i in final),
    )


def _margins(
    model: Model, branches: Sequence[Coordinate], triggers: Sequence[float], text: GenericText
) -> list[float]:
    """Predicted margins; a ceiling beyond its ladder counts as its last rung."""
    ceilings = kl_ladder(model, branches, text) if branches else []
    return [
        log2_margin(ceiling.gain or CEILINGS[-1], trigger) or 0.0
        for trigger, ceiling in zip(triggers, ceilings, strict=True)
    ]
