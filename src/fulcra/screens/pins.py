"""The pin screen: neurons that would flip the behavior when held at a value, and leave generic text
alone.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.ladders.kl_ladder import LEVEL, TEXTS, edit_divergences
from fulcra.ladders.next_token import NextTokens, next_token_odds, promising
from fulcra.models import Model, pin
from fulcra.models.activations import natural_extent
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.contrastive import activation_gaps
from fulcra.screens.scores import Clean, clean_ground
from fulcra.types import Behavior, Edit, Neuron, Ranking

#: Held values in units of the largest natural |activation|; 0 is the ablation.
MULTIPLES = (-0.5, 0.0, 0.5)
#: Edits whose divergence on generic text is looked at, as a multiple of what is asked for.
SHORTLIST = 8
#: Neurons asked for.
COUNT = 32


def pins(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    extent: Tensor | None = None,
    neurons: Sequence[Neuron] | None = None,
    count: int = COUNT,
    advance: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Neurons by descending log-odds of the flip under their best held value that costs less than
    the KL ceiling.

    The log-odds are those of the selection split; the ceiling is the KL ladder's level on generic
    text. Tier 2, no rollouts. `extent` [layer, d_mlp] is the largest natural |activation|: a gate
    opens under a pin more often than under a dose (papers B and C). Cost: about 9 short passes a
    neuron, and 16 texts for each of the shortlist.
    """
    ground = clean or clean_ground(model, behavior)
    if neurons is None:
        neurons = sweep_candidates(model, ground.stream, activation_gaps(model, behavior))
    if extent is None:
        extent = contrast_extent(model, behavior, ground.text)
    everything = [
        pin(neuron, multiple * float(extent[neuron.layer, model.slot(neuron)]))
        for neuron in neurons
        for multiple in MULTIPLES
    ]
    least = len(MULTIPLES) * count
    edits = [
        everything[i]
        for i in promising(model, behavior.selection, behavior.system, everything, advance, least)
    ]
    odds = next_token_odds(model, NextTokens(model, behavior.selection, behavior.system), edits)
    short = odds.argsort(descending=True, stable=True)[: SHORTLIST * count].tolist()
    cost = edit_divergences(model, [edits[i] for i in short], ground.text.first(TEXTS)).tolist()
    coherent = [i for i, nats in zip(short, cost, strict=True) if nats < LEVEL]
    best = _best(edits, odds, [*coherent, *(i for i in short if i not in set(coherent))])
    return Ranking("pins", tuple(best), tuple(best.values()))


def contrast_extent(model: Model, behavior: Behavior, text: GenericText) -> Tensor:
    """Largest natural |activation| of every neuron on generic text and contrast prompts, [layer,
    d_mlp].
    """
    prompts = [
        model.prompt_ids(prompt.text, behavior.system)
        for prompt in behavior.positive + behavior.negative
    ]
    return natural_extent(
        model, [p + r for p, r in zip(text.prompts, text.replies, strict=True)] + prompts
    )


def _best(edits: Sequence[Edit], odds: Tensor, order: Sequence[int]) -> dict[Neuron, float]:
    """Each neuron once, with the log-odds of its first edit in `order`."""
    found: dict[Neuron, float] = {}
    for i in order:
        site = edits[i].site
        if isinstance(site, Neuron):
            found.setdefault(site, float(odds[i]))
    return found
