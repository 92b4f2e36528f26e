"""The papers' central comparison: every kind of intervention at matched behavior change, on the
neurons of one audit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fulcra.behaviors import behavior_sha256, load_behavior
from fulcra.errors import InputError
from fulcra.formulas.intervals import wilson
from fulcra.ladders.kl_ladder import TEXTS, edit_divergences
from fulcra.ladders.trigger_ladder import GAINS
from fulcra.models import Model, ablate_direction, add_mlp, anchor, load, pin, scale
from fulcra.models.activations import natural_extent
from fulcra.models.anchors import anchor_gaps
from fulcra.models.coordinate import coordinate
from fulcra.protocol import Trial, set_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.subject import Ground, in_tokens_of, prepare
from fulcra.screens.directions import against, difference_directions, mlp_differences
from fulcra.store import AUDIT, plain, read_json
from fulcra.studies.effects.other_text import kl_per_token, mean
from fulcra.studies.effects.sets import confirmed
from fulcra.studies.effects.study import effects_provenance, measured
from fulcra.types import Behavior, Edits, Neuron, Op

SCHEMA_VERSION = 1
#: The matched change of behavior: half of the selection prompts flip.
TARGET = 0.5
FACTORS = (-8.0, -4.0, -2.0, -1.0, 0.0, 2.0, 4.0, 8.0)
#: Held values and bounds of anchors in units of the neuron's largest natural |activation|.
MULTIPLES = (-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)
ANCHOR_KS = (1.0, 2.0)
#: Multiples of the mean difference of MLP outputs, at every layer.
MLP_DOSES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Option(NamedTuple):
    """One intervention at one dose: what it acts on, the number its dose is, and its edits."""

    intervention: Op
    site: str
    dose: float
    edits: Edits


class Chosen(NamedTuple):
    """The option taken of one kind, by the selection prompts alone; `matched` where it reaches the
    target there.
    """

    option: Option
    selection_rate: float
    matched: bool


def interventions(
    folders: Sequence[Path], seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """The comparison on the audited neurons of some runs: rows of every kind of intervention, and
    of no intervention.

    Sites and doses are chosen on the selection split, figures are of the confirmation prompts.
    Cost: about 6,000 short rollouts a run for selection.
    """
    clock, rows, provenances = Clock(progress or Silent()), [], []
    for folder in folders:
        model, behavior, neurons = audited(folder)
        with clock.step(f"{model.name}: ground", 0):
            ground = prepare(model, behavior, seed)
        options = every_option(model, behavior, ground, neurons)
        with clock.step("selection", len(options) * len(behavior.selection)) as bar:
            chosen = choose(model, behavior, ground, options, bar.advance)
        with clock.step("confirmation", 1 + len(chosen)) as bar:
            rows += confirm(model, behavior, ground, chosen, seed, bar.advance)
        provenances.append(
            {"model": model.name, "model_sha256": model.sha256, **effects_provenance(ground, seed)}
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "target": TARGET,
        "rows": plain(rows),
        "provenance": plain(provenances),
        "timing": clock.timing(),
    }


def audited(folder: Path) -> tuple[Model, Behavior, list[Neuron]]:
    """The model, the behavior and the screened neurons of a finished run; InputError where they are
    not the ones it had.
    """
    found = read_json(folder / AUDIT)
    model, behavior = load(found["model"]["name"]), load_behavior(found["behavior"]["name"])
    if (
        model.sha256 != found["model"]["sha256"]
        or behavior_sha256(behavior) != found["behavior"]["sha256"]
    ):
        raise InputError(
            f"run {folder}: was made of another {model.name} or {behavior.name} than there is now;"
            " audit it anew"
        )
    screened = (
        Neuron.parse(entry["neuron"]) for entry in found["neurons"] if entry["source"] == "screen"
    )
    return model, in_tokens_of(model, behavior), list(dict.fromkeys(screened))


def every_option(
    model: Model, behavior: Behavior, ground: Ground, neurons: Sequence[Neuron]
) -> list[Option]:
    """Every kind of intervention at every site and dose it is tried at."""
    return [
        *_neuron_options(model, behavior, ground, neurons),
        *_added(model, ground, neurons),
        *_directions(model, behavior, ground),
    ]


def _neuron_options(
    model: Model, behavior: Behavior, ground: Ground, neurons: Sequence[Neuron]
) -> Iterable[Option]:
    positive, negative = (
        [model.prompt_ids(p.text, behavior.system) for p in some]
        for some in (behavior.positive, behavior.negative)
    )
    extent = natural_extent(
        model,
        [p + r for p, r in zip(ground.text.prompts, ground.text.replies, strict=True)]
        + positive
        + negative,
    )
    gaps = anchor_gaps(model, neurons, positive, negative)
    for neuron, gap in zip(neurons, gaps, strict=True):
        size = float(extent[neuron.layer, model.slot(neuron)])
        yield from (
            Option("scale", neuron.site, factor, (scale(neuron, factor),)) for factor in FACTORS
        )
        yield from (
            Option("pin", neuron.site, multiple * size, (pin(neuron, multiple * size),))
            for multiple in MULTIPLES
        )
        bounds = [multiple * size for multiple in MULTIPLES if multiple * size * gap != 0]
        yield from (
            Option("anchor", f"{neuron.site} k {k:g}", m, (anchor(neuron, m, gap, k),))
            for m in bounds
            for k in ANCHOR_KS
        )


def _added(model: Model, ground: Ground, neurons: Sequence[Neuron]) -> Iterable[Option]:
    for neuron in neurons:
        for branch in (neuron, neuron.opposite):
            at = coordinate(model, ground.clean, branch)
            yield from (
                Option("add", str(branch), gain, (at.dose(gain),))
                for gain in GAINS[: at.rungs(GAINS)]
            )


def _directions(model: Model, behavior: Behavior, ground: Ground) -> Iterable[Option]:
    for direction in difference_directions(model, behavior):
        yield Option("ablate_direction", str(direction), 1.0, (ablate_direction(direction),))
        at = coordinate(model, ground.clean, against(direction))
        yield from (Option("add_vector", str(at.branch), gain, (at.dose(gain),)) for gain in GAINS)
    everywhere = [against(direction) for direction in mlp_differences(model, behavior)]
    yield from (
        Option("add_mlp", "every layer", dose, tuple(add_mlp(one, dose) for one in everywhere))
        for dose in MLP_DOSES
    )


def choose(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    options: Sequence[Option],
    advance: Callable[[int], None] = lambda done: None,
) -> list[Chosen]:
    """Of each kind the option that reaches the target on the selection prompts at the least
    divergence on generic text.

    Where none reaches it, the one that flips most prompts (of equals, the one with the least
    divergence).
    """
    measure = Measurement(model, behavior, ground, (behavior.horizon,), None, salt="")
    records = measure(
        "selection",
        [trial for option in options for trial in _trials(model, behavior, option)],
        advance,
    )
    count = len(behavior.selection)
    rates = [
        sum(r.flipped(behavior.horizon) for r in records[i * count : (i + 1) * count]) / count
        for i in range(len(options))
    ]
    return [
        _best(model, ground, options, rates, kind)
        for kind in dict.fromkeys(option.intervention for option in options)
    ]


def _trials(model: Model, behavior: Behavior, option: Option) -> list[Trial]:
    trials = set_trials(model, behavior, "selection", option.site, option.edits, behavior.selection)
    return [replace(trial, op=option.intervention, dose=option.dose) for trial in trials]


def _best(
    model: Model, ground: Ground, options: Sequence[Option], rates: Sequence[float], kind: Op
) -> Chosen:
    mine = [
        (option, rate)
        for option, rate in zip(options, rates, strict=True)
        if option.intervention == kind
    ]
    highest = max(rate for _, rate in mine)
    level = min(TARGET, highest)
    enough = [(option, rate) for option, rate in mine if rate >= level]
    if len(enough) > 1 and highest > 0:
        costs = edit_divergences(
            model, [option.edits for option, _ in enough], ground.text.first(TEXTS)
        ).tolist()
    else:
        costs = [0.0] * len(enough)
    option, rate = enough[min(range(len(enough)), key=costs.__getitem__)]
    return Chosen(option, rate, rate >= TARGET)


def confirm(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    chosen: Sequence[Chosen],
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> list[dict[str, Any]]:
    """The rows of one model: no intervention first, then each chosen one; prompts that flip undosed
    are left out of rates.
    """
    leaking = {
        r.prompt for r in confirmed(model, behavior, ground, ()) if r.flipped(behavior.horizon)
    }
    rows = []
    for one in (None, *chosen):
        edits = () if one is None else one.option.edits
        figures = measured(model, behavior, ground, edits, seed)
        flips = {
            prompt: flipped
            for prompt, flipped in figures["behavior_rate"].items()
            if one is None or prompt not in leaking
        }
        rate = wilson(round(sum(flips.values())), len(flips))
        reach = mean(
            {prompt: value for prompt, value in figures["reach"].items() if prompt in flips}
        )
        rows.append(
            {
                "model": model.name,
                "behavior": behavior.name,
                "intervention": "none" if one is None else one.option.intervention,
                "site": "" if one is None else one.option.site,
                "dose": 0.0 if one is None else one.option.dose,
                "matched": one is not None and one.matched,
                "selection_rate": None if one is None else one.selection_rate,
                "behavior_rate": rate.value,
                "low": rate.low,
                "high": rate.high,
                "n": rate.n,
                "reach": reach,
                **{name: mean(figures.get(name)) for name in FIGURES},
                "kl_per_token": kl_per_token(model, ground, edits),
            }
        )
        advance(1)
    return rows


#: What else is measured of every row.
FIGURES = ("collapse", "quality", "generic_quality", "surprise", "accuracy", "over_refusal")
