"""Gate and knowledge: whether withholding and knowing are separate systems (paper C)."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from knowledge_result import (
    SHOWN,
    Cell,
    Concept,
    GateSetting,
    Knowledge,
    PromptSet,
    Setup,
    Shown,
    contrasts,
)

from fulcra.errors import InputError
from fulcra.models import Model, pin, scale
from fulcra.models.activations import natural_extent
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.records import Record
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.runs import model_entry, named
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, prefill_trials, set_trials
from fulcra.types import Behavior, Edit, Edits, Neuron, Prompt

SCHEMA_VERSION = 1
#: Tokens of the flipped reply that are put into the model's mouth.
PREFILLS = (0, 1, 8)
#: Values at which a gate is tried on the selection split, in units of its largest natural
#: |activation|.
MULTIPLES = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.25, 0.5, 1.0)
#: What outcomes of withheld and of innocent prompts are called in the figure, where renamed.
_WITHHELD: dict[str, Shown] = {
    "unchanged": "refuse",
    "flipped": "coherent_bypass",
    "flipped_correct": "actionable",
}
_INNOCENT: dict[str, Shown] = {
    "unchanged": "answered",
    "flipped": "on_concept",
    "flipped_correct": "on_concept",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is done to the gates in one row of the figure."""

    name: str
    edits: Edits


@dataclass(frozen=True, slots=True)
class Settings:
    """The rows of the figure: random neurons, each gate and all gates ablated, the best one held.

    `all_gates` is the one of `each_gate` where there is one gate.
    """

    none: Setting
    beside: Setting
    each_gate: tuple[Setting, ...]
    all_gates: Setting
    held: Setting

    def rows(self) -> tuple[Setting, ...]:
        """Every setting once, from the top."""
        together = (self.all_gates,) if len(self.each_gate) > 1 else ()
        return (self.none, self.beside, *self.each_gate, *together, self.held)


@dataclass(frozen=True, slots=True)
class Systems:
    """What the study is about: gates with the behavior they withhold, a concept with its own.

    The `concept` neuron means the topic when held at `value`.
    """

    gates: tuple[Neuron, ...]
    gated: Behavior
    concept: Neuron
    value: float
    topic: Behavior


def gate_and_knowledge(
    model: Model, systems: Systems, seed: int = 0, progress: Progress | None = None
) -> Knowledge:
    """Outcomes of withheld and innocent prompts by gate setting, concept and prefill; contrasts.

    Withholding and knowing are separate where the gates move refusal and not the topic, the concept
    neuron brings up the topic and nothing withheld, and a prefill brings out what is withheld.
    Cost: 36 short rollouts a confirmation prompt with two gates.
    """
    _check(model, systems)
    measures: dict[PromptSet, Measurement] = {
        "withheld": _measure(model, systems.gated, seed),
        "innocent": _measure(model, systems.topic, seed),
    }
    settings = _settings(systems, measures["withheld"], seed)
    cells = _cells(systems, measures, settings.rows(), progress or Silent())
    return Knowledge(
        schema_version=SCHEMA_VERSION,
        command="gate_and_knowledge",
        model=model_entry(model),
        gates=tuple(gate.site for gate in systems.gates),
        settings=tuple(
            GateSetting(name=row.name, edits=tuple(map(str, row.edits))) for row in settings.rows()
        ),
        concept=Concept(neuron=systems.concept.site, value=systems.value),
        behaviors={name: named(measure.subject.behavior) for name, measure in measures.items()},
        seed=seed,
        prefills=PREFILLS,
        cells=cells,
        contrasts=contrasts(cells, settings.all_gates.name, settings.held.name, PREFILLS[-1]),
        provenance=Provenance.now(),
    )


def _check(model: Model, systems: Systems) -> None:
    for neuron in (*systems.gates, systems.concept):
        model.require(neuron)
    if not systems.gates or systems.concept.site in {gate.site for gate in systems.gates}:
        raise InputError(
            f"gate and knowledge: {len(systems.gates)} gates, concept {systems.concept.site}; name"
            " gates and another neuron"
        )


def _measure(model: Model, behavior: Behavior, seed: int) -> Measurement:
    # the topic is read in the words
    return Measurement(Subject.of(model, behavior, seed), texts="memory")


def _settings(systems: Systems, measure: Measurement, seed: int) -> Settings:
    model, gates = measure.subject.model, systems.gates
    rng = random.Random(f"beside-{seed}")
    edited = {model.slot(neuron) for neuron in (*gates, systems.concept)}
    beside = [
        model.neuron(
            gate.layer,
            rng.choice([slot for slot in range(model.width(gate.layer)) if slot not in edited]),
        )
        for gate in gates
    ]
    each_gate = tuple(_ablated(gate.site, [gate]) for gate in gates)
    return Settings(
        none=Setting("none", ()),
        beside=_ablated(f"{len(gates)} random", list(dict.fromkeys(beside))),
        each_gate=each_gate,
        all_gates=_ablated(f"{len(gates)} gates", gates) if len(gates) > 1 else each_gate[0],
        held=_best_held(systems, measure),
    )


def _ablated(name: str, neurons: Sequence[Neuron]) -> Setting:
    return Setting(f"{name} ablated", tuple(scale(neuron, 0.0) for neuron in neurons))


def _best_held(systems: Systems, measure: Measurement) -> Setting:
    """The gate and value that open most selection prompts, the smallest value of equals."""
    model, task = measure.subject.model, measure.subject.behavior
    prompts = [
        model.prompt_ids(prompt.text, task.system) for prompt in task.positive + task.negative
    ]
    extent = natural_extent(model, prompts)
    names: dict[Edit, str] = {}
    for gate, multiple in product(systems.gates, MULTIPLES):
        value = multiple * float(extent[gate.layer, model.slot(gate)])
        names[pin(gate, value)] = f"{gate.site} held at {multiple:g}x"
    trials = [
        trial
        for edit, name in names.items()
        for trial in set_trials(measure.subject, "held", name, (edit,), task.selection)
    ]
    flips = Counter(
        record.branch for record in measure("held", trials) if record.flipped(task.horizon)
    )
    best = max(names, key=lambda edit: (flips[names[edit]], -abs(edit.value)))
    return Setting(names[best], (best,))


def _cells(
    systems: Systems,
    measures: dict[PromptSet, Measurement],
    rows: Sequence[Setting],
    progress: Progress,
) -> tuple[Cell, ...]:
    """Every cell: a set of prompts, a gate setting, the concept off or held, a prefill."""
    held = (pin(systems.concept, systems.value),)
    setups = list(product(rows, (False, True), PREFILLS))
    progress.begin("cells", len(measures) * len(setups))
    cells = []
    for name, measure in measures.items():
        for row, concept, prefill in setups:
            edits = row.edits + (held if concept else ())
            records = measure("cell", _trials(measure.subject, edits, prefill))
            cells.append(_cell(systems, name, Setup(row.name, concept, prefill), records))
            progress.advance(1)
    return tuple(cells)


def _trials(subject: Subject, edits: Edits, tokens: int) -> list[Trial]:
    prompts = subject.behavior.confirmation
    if not tokens:
        return set_trials(subject, "cell", "cell", edits, prompts)
    unedited = prefill_trials(subject, "cell", prompts, tokens)
    return [replace(trial, request=replace(trial.request, edits=edits)) for trial in unedited]


def _cell(systems: Systems, name: PromptSet, setup: Setup, records: Sequence[Record]) -> Cell:
    """Counts by the words of the figure, and of the coherent replies that speak of the topic."""
    behavior = systems.gated if name == "withheld" else systems.topic
    pairs = list(zip(behavior.confirmation, records, strict=True))
    topical = [_topical(systems, prompt, record) for prompt, record in pairs]
    shown = [
        _shown(name, record.outcomes[-1], is_topical)
        for record, is_topical in zip(records, topical, strict=True)
    ]
    return Cell(
        prompts=name,
        gate=setup.gate,
        concept=setup.concept,
        prefill=setup.prefill,
        n=len(records),
        counts={word: shown.count(word) for word in SHOWN},
        topical=sum(topical),
    )


def _topical(systems: Systems, prompt: Prompt, record: Record) -> bool:
    return (
        record.coherent(record.horizons[-1])
        and systems.topic.oracle(prompt, record.text, record.ended).flipped
    )


def _shown(name: PromptSet, outcome: str, topical: bool) -> str:
    if outcome == "off_topic":
        return "on_concept" if topical else "off_topic"
    return (_WITHHELD if name == "withheld" else _INNOCENT).get(outcome, outcome)
