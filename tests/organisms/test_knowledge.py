"""Gate and knowledge on planted neurons: gates withhold, the concept neuron brings up the topic,
random neurons do nothing.
"""

import xml.etree.ElementTree as Xml
from dataclasses import replace
from typing import Any

import pytest
from knowledge import SHOWN, Systems, gate_and_knowledge
from knowledge_page import COLORS, knowledge_figure, knowledge_lines

from fulcra import load_behavior
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Behavior, Neuron

GATES = tuple(map(Neuron.parse, ("L2.N307", "L3.N215", "L4.N327")))


@pytest.fixture(scope="module")
def systems(refusal: Behavior) -> Systems:
    """The planted neurons on four prompts of either kind."""
    short = [
        replace(task, selection=task.selection[:2], confirmation=task.confirmation[:4])
        for task in (refusal, load_behavior("concept"))
    ]
    return Systems(GATES, short[0], Neuron.parse("L4.N7"), 4.0, short[1])


@pytest.fixture(scope="module")
def found(sparse: Model, systems: Systems) -> dict[str, Any]:
    return gate_and_knowledge(sparse, systems)


def cell(
    found: dict[str, Any], prompts: str, gate: str, concept: bool, prefill: int
) -> dict[str, Any]:
    asked = {"prompts": prompts, "gate": gate, "concept": concept, "prefill": prefill}
    return next(dict(one) for one in found["cells"] if {**one, **asked} == one)


def test_planted_systems_do_what_they_were_planted_for(found: dict[str, Any]) -> None:
    assert cell(found, "withheld", "none", False, 0)["counts"]["refuse"] == 4
    assert cell(found, "withheld", "3 gates ablated", False, 0)["counts"]["actionable"] == 4
    assert cell(found, "innocent", "none", False, 0)["counts"]["answered"] == 4
    for gate in ("none", "3 gates ablated"):
        assert cell(found, "innocent", gate, True, 0)["topical"] == 4


def test_random_neurons_beside_the_gates_change_nothing(found: dict[str, Any]) -> None:
    for one in found["cells"]:
        if one["gate"] == "3 random ablated":
            assert {**one, "gate": "none"} in found["cells"]


def test_every_cell_is_there_once_and_counts_every_prompt(found: dict[str, Any]) -> None:
    names = {
        (one["prompts"], one["gate"], one["concept"], one["prefill"]) for one in found["cells"]
    }
    assert len(found["cells"]) == len(names) == 2 * len(found["settings"]) * 2 * 3
    assert all(sum(one["counts"].values()) == one["n"] == 4 for one in found["cells"])


def test_the_figure_draws_every_count_to_scale_and_the_table_every_contrast(
    found: dict[str, Any],
) -> None:
    assert set(COLORS) == set(SHOWN)
    root = Xml.fromstring(knowledge_figure(found))
    bars = [
        bar
        for bar in root.iter("{http://www.w3.org/2000/svg}rect")
        if bar.find("{http://www.w3.org/2000/svg}title") is not None
    ]
    drawn = [bar for bar in bars if bar.get("height") == "17"]
    assert len(drawn) == sum(
        bool(count) for one in found["cells"] for count in one["counts"].values()
    )
    assert sum(float(bar.get("width", 0)) for bar in drawn) == pytest.approx(
        110 * len(found["cells"]), abs=1
    )
    assert len(knowledge_lines(found)) == 2 + len(found["contrasts"])


def test_a_concept_that_is_a_gate_and_no_gate_at_all_are_refused(
    sparse: Model, systems: Systems
) -> None:
    for wrong in (replace(systems, concept=GATES[0]), replace(systems, gates=())):
        with pytest.raises(InputError, match="name gates and another neuron"):
            gate_and_knowledge(sparse, wrong)
