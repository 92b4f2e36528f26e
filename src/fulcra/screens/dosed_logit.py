"""The brute-force screen: the trigger ladder of every branch, forward passes alone."""

from collections.abc import Callable, Sequence

from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders import trigger_ladder
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS, Openings
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.screens.candidates import movable
from fulcra.screens.objective import with_phrases
from fulcra.screens.scores import Clean, clean_ground
from fulcra.types import Behavior, Edge, Neuron, Prompt, Ranking

#: The audit's rungs, and one more: beyond 3 gains no branch is rolled out.
REACH = (*TRIGGER_GAINS, 3.0)
#: Selection prompts of a ladder of every branch.
PROMPTS = 4
#: Branches of one call: those of a layer together share the most.
TOGETHER = 64


def spread(prompts: Sequence[Prompt], count: int) -> tuple[Prompt, ...]:
    """At most `count` prompts from all over the set, its first and last among them."""
    if len(prompts) <= count:
        return tuple(prompts)
    return tuple(prompts[round(i * (len(prompts) - 1) / max(1, count - 1))] for i in range(count))


def triggers(
    model: Model,
    behavior: Behavior,
    branches: Sequence[Coordinate],
    advance: Callable[[int], None] = lambda done: None,
    *,
    prompts: int = PROMPTS,
    gains: Sequence[float] = REACH,
) -> list[Edge]:
    """The forecast trigger of each branch from a few selection prompts."""
    openings = Openings.of(
        model, with_phrases(behavior, spread(behavior.selection, prompts)), behavior.system
    )
    edges: list[Edge] = []
    for start in range(0, len(branches), TOGETHER):
        batch = branches[start : start + TOGETHER]
        edges += trigger_ladder(model, batch, openings, gains)
        advance(len(batch))
    return edges


def by_trigger(branches: Sequence[Coordinate], edges: Sequence[Edge]) -> Ranking:
    """Branches whose trigger was reached, by ascending gain; the score is 1 / gain."""
    reached = [
        (edge.gain, coord.branch)
        for coord, edge in zip(branches, edges, strict=True)
        if edge.gain is not None and isinstance(coord.branch, Neuron)
    ]
    reached.sort(key=lambda pair: pair[0])
    neurons = tuple(neuron for _, neuron in reached)
    return Ranking("dosed_logit", neurons, tuple(1 / gain for gain, _ in reached))


def dosed_logit(
    model: Model,
    behavior: Behavior,
    *,
    clean: Clean | None = None,
    neurons: Sequence[Neuron] | None = None,
    prompts: int = PROMPTS,
) -> Ranking:
    """Branches by ascending forecast trigger, both poles; left out where none comes in 3 gains.

    `neurons`: all that move the stream if none are named. Cost: about 4 short passes a branch and
    prompt; minutes on a bundled organism.
    """
    ground = clean or clean_ground(model, behavior)
    branches = [
        coordinate(model, ground.stream, pole)
        for neuron in (movable(model, ground.stream) if neurons is None else neurons)
        for pole in (neuron, neuron.opposite)
    ]
    return by_trigger(branches, triggers(model, behavior, branches, prompts=prompts))
