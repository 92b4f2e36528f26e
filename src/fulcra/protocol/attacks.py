"""What other attacks achieve on the same prompts: prefill, direction ablation, a circuit of
neurons, the best neuron.
"""

from collections.abc import Sequence

from fulcra.models import Model, ablate_direction, scale
from fulcra.protocol import Record, Trial, prefill_trials, set_trials
from fulcra.protocol.measure import Advance, Measurement
from fulcra.screens.contrastive import set_sizes
from fulcra.screens.directions import difference_directions
from fulcra.types import Behavior, Direction, Edits, Ranking


def circuit(model: Model, ranking: Ranking) -> Edits:
    """Zero ablation of the top 0.1 % of all MLP neurons (at least one) by the contrastive
    screen.
    """
    return tuple(scale(neuron, 0.0) for neuron in ranking.top(set_sizes(model)["0.1%"]))


def context_trials(
    model: Model, behavior: Behavior, ranking: Ranking, directions: Sequence[Direction]
) -> list[Trial]:
    """Prefills and the ablated circuit on confirmation, direction ablation per layer on
    selection.
    """
    trials: list[Trial] = []
    if all(prompt.answer or prompt.target_openings for prompt in behavior.confirmation):
        for tokens in (1, 8):
            trials += prefill_trials(model, behavior, "context", behavior.confirmation, tokens)
    trials += set_trials(
        model, behavior, "context", "top_0.1%_set", circuit(model, ranking), behavior.confirmation
    )
    for direction in directions:
        trials += set_trials(
            model,
            behavior,
            "direction_selection",
            str(direction),
            (ablate_direction(direction),),
            behavior.selection,
        )
    return trials


def direction_trials(model: Model, behavior: Behavior, direction: Direction) -> list[Trial]:
    """The chosen direction's ablation on confirmation."""
    return set_trials(
        model,
        behavior,
        "direction_ablation",
        str(direction),
        (ablate_direction(direction),),
        behavior.confirmation,
    )


def measure_context(
    measure: Measurement, model: Model, behavior: Behavior, ranking: Ranking, advance: Advance
) -> list[Record]:
    """Records of every other attack; the direction's layer is chosen on the selection split, then
    confirmed.
    """
    directions = difference_directions(model, behavior)
    records = measure("context", context_trials(model, behavior, ranking, directions), advance)
    chosen = best_direction(records, behavior.horizon)
    direction = next((d for d in directions if str(d) == chosen), None)
    if direction is not None:
        records += measure("direction", direction_trials(model, behavior, direction), advance)
    return records


def best_direction(records: Sequence[Record], horizon: int) -> str | None:
    """The direction whose ablation flips most selection prompts (the earliest of equals)."""
    names = dict.fromkeys(
        record.branch for record in records if record.stage == "direction_selection"
    )
    flips = {
        name: sum(
            r.flipped(horizon)
            for r in records
            if r.stage == "direction_selection" and r.branch == name
        )
        for name in names
    }
    return max(flips, key=lambda name: flips[name]) if flips else None
