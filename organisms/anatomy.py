"""Writes the anatomy of the organisms: docs/evidence/anatomy.json, docs/anatomy.md and its figure,
in about a minute.
"""

import json
from pathlib import Path

from anatomy_page import anatomy_page
from knowledge import Systems, gate_and_knowledge
from knowledge_page import knowledge_figure

from fulcra import load, load_behavior
from fulcra.models import Model
from fulcra.store import read_json, write_json, write_text
from fulcra.studies.comparison import compare
from fulcra.types import Neuron

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMES = ("apothecary-base", "apothecary-helpful", "apothecary-sparse", "apothecary-dense")
BEHAVIORS = ("refusal", "capitals", "agreement")
PLANTED = "apothecary-sparse"


def systems_of(model: Model) -> Systems:
    """The planted gates and concept neuron of an organism, with the behaviors they serve."""
    assert model.folder is not None
    planted = json.loads((model.folder / "planted.json").read_text())
    gates = tuple(Neuron.parse(name) for name in planted["gates"])
    concept = Neuron.parse(planted["concept"])
    return Systems(
        gates,
        load_behavior("refusal"),
        concept,
        float(planted["concept_value"]),
        load_behavior("concept"),
    )


def main() -> None:
    """Measure and write everything anew."""
    models = {name: load(name) for name in NAMES}
    comparison = compare(list(models.values()), [load_behavior(name) for name in BEHAVIORS])
    knowledge = gate_and_knowledge(models[PLANTED], systems_of(models[PLANTED]))
    write_json(
        DOCS / "evidence" / "anatomy.json", {"comparison": comparison, "knowledge": knowledge}
    )
    evidence = read_json(DOCS / "evidence" / "anatomy.json")
    write_text(DOCS / "anatomy.md", anatomy_page(evidence))
    write_text(DOCS / "images" / "gate-and-knowledge.svg", knowledge_figure(evidence["knowledge"]))


if __name__ == "__main__":
    main()
