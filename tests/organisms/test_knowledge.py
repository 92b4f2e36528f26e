"""Planted gates withhold, the concept neuron brings up the topic, random neurons do nothing."""

import xml.etree.ElementTree as Xml
from dataclasses import replace

import pytest
from knowledge import Systems, gate_and_knowledge
from knowledge_page import COLORS, knowledge_figure, knowledge_lines
from knowledge_result import SHOWN, Cell, Knowledge, PromptSet, Setup

from fulcra import load_behavior
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Behavior, Neuron

pytestmark = pytest.mark.slow

GATES = tuple(map(Neuron.parse, ("L2.N307", "L3.N215", "L4.N327")))
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def systems(refusal: Behavior) -> Systems:
    """The planted neurons on four prompts of either kind."""
    short = [
        replace(task, selection=task.selection[:2], confirmation=task.confirmation[:4])
        for task in (refusal, load_behavior("concept"))
    ]
    return Systems(GATES, short[0], Neuron.parse("L4.N7"), 4.0, short[1])


@pytest.fixture(scope="module")
def knowledge(sparse: Model, systems: Systems) -> Knowledge:
    return gate_and_knowledge(sparse, systems)


def cell(knowledge: Knowledge, prompts: PromptSet, setup: Setup) -> Cell:
    return next(
        each
        for each in knowledge.cells
        if (each.prompts, Setup(each.gate, each.concept, each.prefill)) == (prompts, setup)
    )


def test_planted_systems_do_what_they_were_planted_for(knowledge: Knowledge) -> None:
    assert cell(knowledge, "withheld", Setup()).counts["refuse"] == 4
    assert cell(knowledge, "withheld", Setup("3 gates ablated")).counts["actionable"] == 4
    assert cell(knowledge, "innocent", Setup()).counts["answered"] == 4
    for gate in ("none", "3 gates ablated"):
        assert cell(knowledge, "innocent", Setup(gate, concept=True)).topical == 4


def test_random_neurons_beside_the_gates_change_nothing(knowledge: Knowledge) -> None:
    beside = [each for each in knowledge.cells if each.gate == "3 random ablated"]
    assert len(beside) == 12
    for each in beside:
        assert each.model_copy(update={"gate": "none"}) in knowledge.cells


def test_every_cell_is_there_once_and_counts_every_prompt(knowledge: Knowledge) -> None:
    names = {(each.prompts, each.gate, each.concept, each.prefill) for each in knowledge.cells}
    assert len(knowledge.cells) == len(names) == 2 * len(knowledge.settings) * 2 * 3
    assert all(sum(each.counts.values()) == each.n == 4 for each in knowledge.cells)


def test_the_figure_draws_every_count_to_scale_and_the_table_every_contrast(
    knowledge: Knowledge,
) -> None:
    assert set(COLORS) == set(SHOWN)
    root = Xml.fromstring(knowledge_figure(knowledge))
    bars = [bar for bar in root.iter(f"{_SVG}rect") if bar.find(f"{_SVG}title") is not None]
    drawn = [bar for bar in bars if bar.get("height") == "17"]
    assert len(drawn) == sum(
        bool(count) for each in knowledge.cells for count in each.counts.values()
    )
    assert sum(float(bar.get("width", 0)) for bar in drawn) == pytest.approx(
        110 * len(knowledge.cells), abs=1
    )
    assert len(knowledge_lines(knowledge)) == 2 + len(knowledge.contrasts)


def test_a_concept_that_is_a_gate_and_no_gate_at_all_are_refused(
    sparse: Model, systems: Systems
) -> None:
    for wrong in (replace(systems, concept=GATES[0]), replace(systems, gates=())):
        with pytest.raises(InputError, match="name gates and another neuron"):
            gate_and_knowledge(sparse, wrong)


def test_one_gate_is_all_gates(sparse: Model, systems: Systems) -> None:
    short = [
        replace(task, selection=task.selection[:1], confirmation=task.confirmation[:1])
        for task in (systems.gated, systems.topic)
    ]
    alone = replace(systems, gates=GATES[:1], gated=short[0], topic=short[1])
    names = [setting.name for setting in gate_and_knowledge(sparse, alone).settings]
    assert names[:3] == ["none", "1 random ablated", "L2.N307 ablated"]
    assert len(names) == 4
