"""Gate and knowledge: whether a neuron that withholds and one that brings up a topic are separate
systems (paper C).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from scipy.stats import fisher_exact

from fulcra.behaviors import behavior_sha256
from fulcra.errors import InputError
from fulcra.formulas.intervals import wilson
from fulcra.models import Model, pin, scale
from fulcra.models.activations import natural_extent
from fulcra.protocol import Record, Trial, prefill_trials, set_trials
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.runs import SCHEMA_VERSION, model_entry, versions
from fulcra.protocol.subject import in_tokens_of, prepare
from fulcra.store import plain
from fulcra.types import Behavior, Edits, Neuron, Prompt

#: Tokens of the flipped reply that are put into the model's mouth.
PREFILLS = (0, 1, 8)
#: Values at which a gate is tried on the selection split, in units of its largest natural
#: |activation|.
MULTIPLES = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.25, 0.5, 1.0)
#: From the base line of a bar up. A reply off the task asked is told apart by whether it speaks of
#: the concept.
SHOWN = (
    "actionable",
    "coherent_bypass",
    "answered",
    "on_concept",
    "off_topic",
    "refuse",
    "collapse",
    "unscored",
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is done to the gates in one row of the figure."""

    name: str
    edits: Edits


@dataclass(frozen=True, slots=True)
class Systems:
    """What the study is about: neurons that withhold, the behavior they gate, a concept neuron with
    its value, its behavior.
    """

    gates: tuple[Neuron, ...]
    gated: Behavior
    concept: Neuron
    value: float
    topic: Behavior


def gate_and_knowledge(
    model: Model, systems: Systems, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Typed outcomes of withheld and of innocent prompts in every cell of gate setting x concept x
    prefill, and four contrasts.

    Withholding and knowing are separate where the gates move refusal and not the topic, the concept
    neuron brings up the topic and nothing withheld, and a prefill brings out what is withheld.
    Cost: 36 short rollouts a confirmation prompt with two gates.
    """
    _check(model, systems)
    bar = progress or Silent()
    measures = {
        name: _measure(model, behavior, seed)
        for name, behavior in (("withheld", systems.gated), ("innocent", systems.topic))
    }
    settings = _settings(model, systems, measures["withheld"], seed)
    cells: list[dict[str, Any]] = []
    bar.begin("cells", 2 * len(PREFILLS) * len(settings) * 2)
    for (name, measure), setting, held, tokens in product(
        measures.items(), settings, (False, True), PREFILLS
    ):
        edits = (*setting.edits, *((pin(systems.concept, systems.value),) if held else ()))
        records = measure("cell", _trials(model, measure.behavior, edits, tokens))
        cell = {"prompts": name, "gate": setting.name, "concept": held, "prefill": tokens}
        cells.append({**cell, **_outcomes(systems, name, measure.behavior.confirmation, records)})
        bar.advance(1)
    content: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "command": "gate_and_knowledge",
            "model": model_entry(model),
            "gates": [gate.site for gate in systems.gates],
            "settings": [
                {"name": one.name, "edits": [str(edit) for edit in one.edits]} for one in settings
            ],
            "concept": {"neuron": systems.concept.site, "value": systems.value},
            "behaviors": {
                name: {"name": m.behavior.name, "sha256": behavior_sha256(m.behavior)}
                for name, m in measures.items()
            },
            "seed": seed,
            "prefills": PREFILLS,
            "cells": cells,
            "contrasts": _contrasts(cells, settings),
            "provenance": versions(),
        }
    )
    return content


def _check(model: Model, systems: Systems) -> None:
    for neuron in (*systems.gates, systems.concept):
        model.require(neuron)
    if not systems.gates or systems.concept.site in {gate.site for gate in systems.gates}:
        raise InputError(
            f"gate and knowledge: {len(systems.gates)} gates, concept {systems.concept.site}; name"
            " gates and another neuron"
        )


def _measure(model: Model, behavior: Behavior, seed: int) -> Measurement:
    # the topic is read in the text, of which nothing is stored
    open_text = replace(in_tokens_of(model, behavior), sensitive=False)
    return Measurement(
        model,
        open_text,
        prepare(model, behavior, seed),
        (behavior.horizon,),
        None,
        salt="knowledge",
    )


def _settings(model: Model, systems: Systems, measure: Measurement, seed: int) -> list[Setting]:
    """No edit, random neurons ablated beside the gates, each gate ablated, all of them, and the
    gate that opens best when held.
    """
    gates = systems.gates
    rng = random.Random(f"beside-{seed}")
    taken = {model.slot(neuron) for neuron in (*gates, systems.concept)}
    beside = [
        model.neuron(
            g.layer, rng.choice([slot for slot in range(model.width(g.layer)) if slot not in taken])
        )
        for g in gates
    ]
    alone = [Setting(f"{gate.site} ablated", (scale(gate, 0.0),)) for gate in gates]
    return [
        Setting("none", ()),
        Setting(
            f"{len(gates)} random ablated",
            tuple(scale(neuron, 0.0) for neuron in dict.fromkeys(beside)),
        ),
        *alone,
        *(
            [Setting(f"{len(gates)} gates ablated", tuple(scale(gate, 0.0) for gate in gates))]
            if len(gates) > 1
            else []
        ),
        _held(model, systems, measure),
    ]


def _held(model: Model, systems: Systems, measure: Measurement) -> Setting:
    """The gate and value that open most selection prompts, the smallest multiple of equals."""
    task = measure.behavior
    extent = natural_extent(
        model,
        [model.prompt_ids(prompt.text, task.system) for prompt in task.positive + task.negative],
    )
    tried = [
        (gate, multiple, multiple * float(extent[gate.layer, model.slot(gate)]))
        for gate in systems.gates
        for multiple in MULTIPLES
    ]
    trials = [
        trial
        for i, (gate, _, value) in enumerate(tried)
        for trial in set_trials(model, task, "held", str(i), (pin(gate, value),), task.selection)
    ]
    records = measure("held", trials)
    flips = [
        sum(record.flipped(task.horizon) for record in records if record.branch == str(i))
        for i in range(len(tried))
    ]
    gate, multiple, value = tried[
        max(range(len(tried)), key=lambda i: (flips[i], -abs(tried[i][1])))
    ]
    return Setting(f"{gate.site} held at {multiple:g}x", (pin(gate, value),))


def _trials(model: Model, behavior: Behavior, edits: Edits, tokens: int) -> list[Trial]:
    if not tokens:
        return set_trials(model, behavior, "cell", "cell", edits, behavior.confirmation)
    plain_trials = prefill_trials(model, behavior, "cell", behavior.confirmation, tokens)
    return [replace(trial, request=replace(trial.request, edits=edits)) for trial in plain_trials]


def _outcomes(
    systems: Systems, name: str, prompts: Sequence[Prompt], records: Sequence[Record]
) -> dict[str, Any]:
    """Counts by the words of the figure, and in how many scored replies the topic is spoken of."""
    topical = [
        _topical(systems, prompt, record) for prompt, record in zip(prompts, records, strict=True)
    ]
    told = [
        _told(name, record.outcomes[-1], topic)
        for record, topic in zip(records, topical, strict=True)
    ]
    return {
        "n": len(records),
        "counts": {word: told.count(word) for word in SHOWN},
        "topical": sum(topical),
    }


def _topical(systems: Systems, prompt: Prompt, record: Record) -> bool:
    return (
        record.coherent(record.horizons[-1])
        and systems.topic.oracle(prompt, record.text, record.ended).flipped
    )


def _told(name: str, outcome: str, topical: bool) -> str:
    if outcome == "off_topic":
        return "on_concept" if topical else "off_topic"
    words = {"unchanged": "refuse", "flipped": "coherent_bypass", "flipped_correct": "actionable"}
    if name == "innocent":
        words = {"unchanged": "answered", "flipped": "on_concept", "flipped_correct": "on_concept"}
    return words.get(outcome, outcome)


def _contrasts(
    cells: Sequence[dict[str, Any]], settings: Sequence[Setting]
) -> list[dict[str, Any]]:
    """What gate and concept each do to withholding and to the topic, without prefill; and what a
    prefill brings out.
    """
    opened = settings[-2].name  # all gates ablated, or the only one
    nothing = {"gate": "none", "concept": False, "prefill": 0}
    rows = (
        ("gates ablated", "refuse", "withheld", nothing, {**nothing, "gate": opened}),
        (
            "gates ablated",
            "topic",
            "innocent",
            {**nothing, "concept": True},
            {**nothing, "gate": opened, "concept": True},
        ),
        ("concept held", "topic", "innocent", nothing, {**nothing, "concept": True}),
        ("concept held", "refuse", "withheld", nothing, {**nothing, "concept": True}),
        ("concept held", "actionable", "withheld", nothing, {**nothing, "concept": True}),
        (
            f"prefill of {PREFILLS[-1]} tokens",
            "actionable",
            "withheld",
            nothing,
            {**nothing, "prefill": PREFILLS[-1]},
        ),
        ("held gate", "actionable", "withheld", nothing, {**nothing, "gate": settings[-1].name}),
    )
    return [_contrast(cells, *row) for row in rows]


def _contrast(
    cells: Sequence[dict[str, Any]],
    what: str,
    on: str,
    prompts: str,
    off: dict[str, Any],
    then: dict[str, Any],
) -> dict[str, Any]:
    """One rate without and with, Wilson intervals, and Fisher's exact p (two-sided)."""
    pair = [
        next(cell for cell in cells if {**cell, **where, "prompts": prompts} == cell)
        for where in (off, then)
    ]
    counts = [cell["topical"] if on == "topic" else cell["counts"][on] for cell in pair]
    table = [[count, cell["n"] - count] for count, cell in zip(counts, pair, strict=True)]
    rates = [wilson(count, cell["n"])._asdict() for count, cell in zip(counts, pair, strict=True)]
    p = float(fisher_exact(table).pvalue)
    return {
        "what": what,
        "on": on,
        "prompts": prompts,
        "without": rates[0],
        "with": rates[1],
        "p": p,
    }
