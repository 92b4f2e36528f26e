"""The pin screen: neurons whose held value flips the behavior and leaves generic text alone."""

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
PIN_MULTIPLES = (-0.5, 0.0, 0.5)
#: Edits whose divergence on generic text is looked at, as a multiple of what is asked for.
SHORTLIST = 8
#: Neurons asked for.
COUNT = 32


def pins(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    neurons: Sequence[Neuron] | None = None,
    count: int = COUNT,
    advance: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """Neurons by descending log-odds of the flip under their best pin that text survives.

    The log-odds are those of the selection split; text survives a pin that costs less than the KL
    ladder's level on generic text. Tier 2, no rollouts. A gate opens under a pin more often than
    under a dose (papers B and C). Cost: about 9 short passes a neuron, and 16 texts for each of the
    shortlist.
    """
    ground = clean or clean_ground(model, behavior)
    if neurons is None:
        neurons = sweep_candidates(model, ground.stream, activation_gaps(model, behavior))
    every = _edits(model, behavior, ground, neurons)
    prompts, system, least = behavior.selection, behavior.system, len(PIN_MULTIPLES) * count
    edits = [every[i] for i in promising(model, prompts, system, every, advance, least)]
    odds = next_token_odds(model, NextTokens(model, prompts, system), edits)
    short = odds.argsort(descending=True, stable=True)[: SHORTLIST * count].tolist()
    cost = edit_divergences(model, [edits[i] for i in short], ground.text.first(TEXTS)).tolist()
    coherent = [i for i, nats in zip(short, cost, strict=True) if nats < LEVEL]
    broken = [i for i, nats in zip(short, cost, strict=True) if not nats < LEVEL]
    best = _best(edits, odds, coherent + broken)
    return Ranking("pins", tuple(best), tuple(best.values()))


def _edits(model: Model, behavior: Behavior, clean: Clean, neurons: Sequence[Neuron]) -> list[Edit]:
    """Every neuron pinned at every multiple of its largest natural |activation|."""
    extent = clean.extent
    if extent is None:
        extent = contrast_extent(model, behavior, clean.text)
    return [
        pin(neuron, multiple * float(extent[neuron.layer, model.slot(neuron)]))
        for neuron in neurons
        for multiple in PIN_MULTIPLES
    ]


def contrast_extent(model: Model, behavior: Behavior, text: GenericText) -> Tensor:
    """Largest natural |activation| on generic text and contrast prompts, [layer, d_mlp]."""
    prompts = [
        model.prompt_ids(prompt.text, behavior.system)
        for prompt in behavior.positive + behavior.negative
    ]
    return natural_extent(
        model, [p + r for p, r in zip(text.prompts, text.replies, strict=True)] + prompts
    )


def _best(edits: Sequence[Edit], odds: Tensor, order: Sequence[int]) -> dict[Neuron, float]:
    """Each neuron once, with the log-odds of its first edit in `order`."""
    best: dict[Neuron, float] = {}
    for i in order:
        site = edits[i].site
        if isinstance(site, Neuron):
            best.setdefault(site, float(odds[i]))
    return best
