"""Every kind of intervention at matched change of behavior, on the neurons of audits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.ladders.kl_ladder import TEXTS, edit_divergences
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS
from fulcra.models import ablate_direction, add_mlp, anchor, pin, scale
from fulcra.models.activations import natural_extent
from fulcra.models.anchors import anchor_gaps
from fulcra.protocol.draw import both_poles
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.interventions import (
    InterventionRow,
    InterventionsResult,
    ModelProvenance,
)
from fulcra.protocol.source import Sources, reopened_behaviors, reopened_model
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, set_trials
from fulcra.screens.directions import against, difference_directions, mlp_differences
from fulcra.studies.effects.other_text import Items, kl_per_token, mean
from fulcra.studies.effects.sets import confirmed
from fulcra.studies.effects.study import effects_provenance, measured
from fulcra.types import Edits, Neuron, Op, Prompt

SCHEMA_VERSION = 1
#: The matched change of behavior: half of the selection prompts flip.
TARGET = 0.5
FACTORS = (-8.0, -4.0, -2.0, -1.0, 0.0, 2.0, 4.0, 8.0)
#: Held values and bounds of anchors in units of the neuron's largest natural |activation|.
HELD_MULTIPLES = (-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
ANCHOR_KS = (1.0, 2.0)
#: Multiples of the mean difference of MLP outputs, at every layer.
MLP_DOSES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
Advance = Callable[[int], None]


class Option(NamedTuple):
    """One intervention at one dose: what it acts on, the number its dose is, and its edits."""

    intervention: Op
    site: str
    dose: float
    edits: Edits


class Chosen(NamedTuple):
    """The option taken of one kind, by the selection prompts alone.

    `matched` where it reaches the target there.
    """

    option: Option
    selection_rate: float
    matched: bool


def interventions(
    folders: Sequence[Path],
    seed: int = 0,
    sources: Sources = Sources(),
    progress: Progress | None = None,
) -> InterventionsResult:
    """The comparison on the audited neurons of some runs, with a row for no intervention.

    Sites and doses are chosen on the selection split, figures are of the confirmation prompts.
    `sources` replace what a run remembers of its model and behavior. Cost: about 6,000 short
    rollouts a run for selection.
    """
    clock = Clock(progress or Silent())
    rows: list[InterventionRow] = []
    provenance: list[ModelProvenance] = []
    behaviors = reopened_behaviors(folders, sources.behaviors)
    for folder, behavior in zip(folders, behaviors, strict=True):
        model = reopened_model(folder, sources)
        with clock.step(f"{model.name}: ground", 0):
            subject = Subject.of(model, behavior, seed)
        options = every_option(subject, screened_neurons(folder))
        with clock.step("selection", len(options) * len(behavior.selection)) as bar:
            chosen = choose(subject, options, bar.advance)
        with clock.step("confirmation", 1 + len(chosen)) as bar:
            rows += confirm(subject, chosen, bar.advance)
        made = effects_provenance(subject.ground, seed).plain()
        weights = {"model": model.name, "model_sha256": model.sha256}
        provenance.append(ModelProvenance.model_validate(weights | made))
    result = InterventionsResult(
        schema_version=SCHEMA_VERSION,
        target=TARGET,
        rows=tuple(rows),
        provenance=tuple(provenance),
        timing=clock.timing(),
    )
    return InterventionsResult.of(result.plain())


def screened_neurons(folder: Path) -> list[Neuron]:
    """The neurons that a finished run had screened, once each, as they stand there."""
    branches = AuditResult.load(folder).neurons
    screened = (Neuron.parse(branch.neuron) for branch in branches if branch.source == "screen")
    return list(dict.fromkeys(screened))


def every_option(subject: Subject, neurons: Sequence[Neuron]) -> list[Option]:
    """Every kind of intervention at every site and dose it is tried at."""
    return [*_held(subject, neurons), *_added(subject, neurons), *_directions(subject)]


def _held(subject: Subject, neurons: Sequence[Neuron]) -> Iterator[Option]:
    """Every neuron scaled, pinned and anchored."""
    model, behavior, text = subject.model, subject.behavior, subject.ground.text
    positive, negative = _ids(subject, behavior.positive), _ids(subject, behavior.negative)
    generic = [ids + reply for ids, reply in zip(text.prompts, text.replies, strict=True)]
    extent = natural_extent(model, [*generic, *positive, *negative])
    gaps = anchor_gaps(model, neurons, positive, negative)
    for neuron, gap in zip(neurons, gaps, strict=True):
        for factor in FACTORS:
            yield Option("scale", neuron.site, factor, (scale(neuron, factor),))
        size = float(extent[neuron.layer, model.slot(neuron)])
        values = [multiple * size for multiple in HELD_MULTIPLES]
        for value in values:
            yield Option("pin", neuron.site, value, (pin(neuron, value),))
        yield from _anchored(neuron, values, gap)


def _anchored(neuron: Neuron, values: Sequence[float], gap: float) -> Iterator[Option]:
    for bound in values:
        for k in ANCHOR_KS if bound * gap != 0 else ():
            site, edits = f"{neuron.site} k {k:g}", (anchor(neuron, bound, gap, k),)
            yield Option("anchor", site, bound, edits)


def _ids(subject: Subject, prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    system = subject.behavior.system
    return [subject.model.prompt_ids(prompt.text, system) for prompt in prompts]


def _added(subject: Subject, neurons: Sequence[Neuron]) -> Iterator[Option]:
    """Every neuron dosed additively on both poles."""
    for coordinate in both_poles(subject.ground, neurons):
        for gain in TRIGGER_GAINS[: coordinate.rungs(TRIGGER_GAINS)]:
            yield Option("add", str(coordinate.branch), gain, (coordinate.dose(gain),))


def _directions(subject: Subject) -> Iterator[Option]:
    """The contrast's directions ablated, added layer by layer, and added at every MLP."""
    for direction in difference_directions(subject.model, subject.behavior):
        yield Option("ablate_direction", str(direction), 1.0, (ablate_direction(direction),))
        coordinate = subject.coordinate(against(direction))
        for gain in TRIGGER_GAINS:
            edits = (coordinate.dose(gain),)
            yield Option("add_vector", str(coordinate.branch), gain, edits)
    everywhere = [against(each) for each in mlp_differences(subject.model, subject.behavior)]
    for multiple in MLP_DOSES:
        added = tuple(add_mlp(direction, multiple) for direction in everywhere)
        yield Option("add_mlp", "every layer", multiple, added)


def choose(
    subject: Subject, options: Sequence[Option], advance: Advance = lambda done: None
) -> list[Chosen]:
    """Of each kind the option that flips enough selection prompts at the least divergence.

    The divergence is that of generic text. Where none reaches the target, the option that flips
    most prompts; of equals, the one with the least divergence.
    """
    trials = [trial for option in options for trial in _trials(subject, option)]
    records = Measurement(subject)("selection", trials, advance)
    horizon, count = subject.behavior.horizon, len(subject.behavior.selection)
    flips = [record.flipped(horizon) for record in records]
    rates = [sum(flips[i : i + count]) / count for i in range(0, len(flips), count)]
    kinds = dict.fromkeys(option.intervention for option in options)
    return [_best(subject, options, rates, kind) for kind in kinds]


def _trials(subject: Subject, option: Option) -> list[Trial]:
    prompts = subject.behavior.selection
    trials = set_trials(subject, "selection", option.site, option.edits, prompts)
    return [replace(trial, op=option.intervention, dose=option.dose) for trial in trials]


def _best(subject: Subject, options: Sequence[Option], rates: Sequence[float], kind: Op) -> Chosen:
    rated = zip(options, rates, strict=True)
    ours = [(option, rate) for option, rate in rated if option.intervention == kind]
    highest = max(rate for _, rate in ours)
    enough = [(option, rate) for option, rate in ours if rate >= min(TARGET, highest)]
    costs = [0.0] * len(enough)
    if len(enough) > 1 and highest > 0:
        sets, text = [option.edits for option, _ in enough], subject.ground.text.first(TEXTS)
        costs = edit_divergences(subject.model, sets, text).tolist()
    option, rate = enough[min(range(len(enough)), key=costs.__getitem__)]
    return Chosen(option, rate, rate >= TARGET)


def confirm(
    subject: Subject, chosen: Sequence[Chosen], advance: Advance = lambda done: None
) -> list[InterventionRow]:
    """The rows of one model: no intervention first, then each chosen one.

    Prompts that flip undosed are left out of the rates of interventions.
    """
    horizon = subject.behavior.horizon
    leaking = {record.prompt for record in confirmed(subject, ()) if record.flipped(horizon)}
    rows = []
    for choice in (None, *chosen):
        edits = () if choice is None else choice.option.edits
        figures = measured(subject, edits)
        if choice is not None:
            for name in ("behavior_rate", "reach"):
                figures[name] = _without(figures[name], leaking)
        rows.append(_row(subject, choice, figures, kl_per_token(subject.ground, edits)))
        advance(1)
    return rows


def _without(items: Items, prompts: set[str]) -> Items:
    return {prompt: value for prompt, value in items.items() if prompt not in prompts}


def _row(
    subject: Subject, choice: Chosen | None, figures: Mapping[str, Items], divergence: float
) -> InterventionRow:
    option = choice.option if choice else None
    flips = figures["behavior_rate"].values()
    rate = wilson(round(sum(flips)), len(flips))
    return InterventionRow(
        model=subject.model.name,
        behavior=subject.behavior.name,
        intervention=option.intervention if option else "none",
        site=option.site if option else "",
        dose=option.dose if option else 0.0,
        matched=choice.matched if choice else False,
        selection_rate=choice.selection_rate if choice else None,
        behavior_rate=rate.value,
        low=rate.low,
        high=rate.high,
        n=rate.n,
        reach=mean(figures["reach"]),
        **{name: mean(figures.get(name)) for name in FIGURES},
        kl_per_token=divergence,
    )


#: What else is measured of every row.
FIGURES = ("collapse", "quality", "generic_quality", "surprise", "accuracy", "over_refusal")
