"""What other attacks achieve: asking, prefill, direction ablation, a circuit ablated."""

from collections.abc import Sequence

from fulcra.models import ablate_direction, scale
from fulcra.protocol.measure import Advance, Measurement
from fulcra.protocol.records import ASKED, Record
from fulcra.protocol.schedule import asking
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, prefill_trials, set_trials
from fulcra.screens.contrastive import set_sizes
from fulcra.screens.directions import difference_directions
from fulcra.types import Direction, Edits

#: Reply tokens that are put into the model's mouth; the most of them are the last control.
PREFILLED = (1, 8)
LAST_CONTROL = f"prefill_{PREFILLED[-1]}"


def circuit(subject: Subject) -> Edits:
    """Zero ablation of the top 0.1 % of all MLP neurons (at least one) by contrast."""
    neurons = subject.circuit.top(set_sizes(subject.model)["0.1%"])
    return tuple(scale(neuron, 0.0) for neuron in neurons)


def last_control(subject: Subject) -> str | None:
    """The attack that is the positive control where no other acts; None where none could be.

    It is the long prefill, where the flip cannot be asked for and at least half of every flipped
    reply is still the model's own: what is put into its mouth is then no flip by itself.
    """
    behavior = subject.behavior
    if asking(behavior):
        return None
    answers = [subject.model.reply_ids(prompt.answer or "") for prompt in behavior.confirmation]
    own = all(len(answer) >= 2 * PREFILLED[-1] for answer in answers)
    return LAST_CONTROL if own else None


def attack_trials(subject: Subject, directions: Sequence[Direction]) -> list[Trial]:
    """Prefills and the ablated circuit on confirmation, each direction's ablation on selection.

    The positive prompts, which ask for the flip, are rolled out without an edit.
    """
    behavior = subject.behavior
    trials = set_trials(subject, ASKED, "undosed", (), asking(behavior))
    if all(prompt.answer or prompt.target_openings for prompt in behavior.confirmation):
        for tokens in PREFILLED:
            trials += prefill_trials(subject, "context", behavior.confirmation, tokens)
    name, edits = "top_0.1%_set", circuit(subject)
    trials += set_trials(subject, "context", name, edits, behavior.confirmation)
    for direction in directions:
        name, edits = str(direction), (ablate_direction(direction),)
        trials += set_trials(subject, "direction_selection", name, edits, behavior.selection)
    return trials


def direction_trials(subject: Subject, direction: Direction) -> list[Trial]:
    """The chosen direction's ablation on confirmation."""
    edits = (ablate_direction(direction),)
    prompts = subject.behavior.confirmation
    return set_trials(subject, "direction_ablation", str(direction), edits, prompts)


def measure_attacks(measure: Measurement, advance: Advance) -> list[Record]:
    """Records of every other attack; the direction's layer is chosen on selection prompts."""
    subject = measure.subject
    directions = difference_directions(subject.model, subject.behavior)
    records = measure("context", attack_trials(subject, directions), advance)
    chosen = best_direction(records, subject.behavior.horizon)
    for direction in directions:
        if str(direction) == chosen:
            records += measure("direction", direction_trials(subject, direction), advance)
    return records


def best_direction(records: Sequence[Record], horizon: int) -> str | None:
    """The direction whose ablation flips most selection prompts (the earliest of equals)."""
    flips: dict[str, int] = {}
    for record in records:
        if record.stage == "direction_selection":
            flips[record.branch] = flips.get(record.branch, 0) + record.flipped(horizon)
    return max(flips, key=lambda name: flips[name]) if flips else None
