"""Writes the anatomy of the organisms: docs/evidence/anatomy.json, docs/anatomy.md, its figure.

It takes about a minute.
"""

from pathlib import Path

from anatomy_page import anatomy_page
from knowledge import Systems, gate_and_knowledge
from knowledge_page import knowledge_figure
from knowledge_result import Knowledge

from fulcra.behaviors import load_behavior
from fulcra.errors import InputError
from fulcra.models import Model, load
from fulcra.organisms.planted import planted
from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.store import read_json, write_json, write_text
from fulcra.studies.comparison import compare
from fulcra.types import Neuron

DOCS = Path(__file__).resolve().parents[1] / "docs"
EVIDENCE = DOCS / "evidence" / "anatomy.json"
NAMES = ("apothecary-base", "apothecary-helpful", "apothecary-sparse", "apothecary-dense")
BEHAVIORS = ("refusal", "capitals", "agreement")
PLANTED = "apothecary-sparse"


def systems_of(model: Model) -> Systems:
    """The planted gates and concept neuron of an organism, with the behaviors they serve."""
    truth = planted(model.folder)
    if truth.concept is None or truth.concept_value is None:
        raise InputError(
            f"anatomy: no concept neuron is planted in {model.name}; name a tuned organism"
        )
    return Systems(
        tuple(map(Neuron.parse, truth.gates)),
        load_behavior("refusal"),
        Neuron.parse(truth.concept),
        truth.concept_value,
        load_behavior("concept"),
    )


def main() -> None:
    """Measure and write everything anew."""
    models = {name: load(name) for name in NAMES}
    comparison = compare(list(models.values()), [load_behavior(name) for name in BEHAVIORS])
    knowledge = gate_and_knowledge(models[PLANTED], systems_of(models[PLANTED]))
    write_json(EVIDENCE, {"comparison": comparison.plain(), "knowledge": knowledge.plain()})
    write_pages()


def write_pages() -> None:
    """Write the page and its figure from the evidence."""
    evidence = read_json(EVIDENCE)
    comparison = ComparisonResult.of(evidence["comparison"])
    knowledge = Knowledge.model_validate(evidence["knowledge"])
    write_text(DOCS / "anatomy.md", anatomy_page(comparison, knowledge))
    write_text(DOCS / "images" / "gate-and-knowledge.svg", knowledge_figure(knowledge))


if __name__ == "__main__":
    main()
