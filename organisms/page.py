"""Writes docs/organisms.md: what every bundled organism is, and what an audit of it found.

`python organisms/page.py runs/apothecary-qwen3-sparse-refusal-1 ...` adds the audits in these
folders to docs/evidence/organisms.json and writes the page from that file and the cards in the
package.
"""

import argparse
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter
from recipe import parse

from fulcra.organisms.planted import planted
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.summary import Agreement, BranchSource, Held
from fulcra.protocol.shards import read_rollouts
from fulcra.report.notation import of, rate
from fulcra.report.template import filled
from fulcra.store import COMMITMENT, read_json, write_json, write_text

DOCS = Path(__file__).resolve().parents[1] / "docs"
EVIDENCE, PAGE = DOCS / "evidence" / "organisms.json", DOCS / "organisms.md"
SOURCES: tuple[BranchSource, ...] = ("screen", "random", "control")
_FIGURE = re.compile(r"\| (\w+) \| ([-.\d]+) \|")


class Counts(Value):
    """How many branches of each source."""

    screen: int
    random: int
    control: int


class Audited(Value):
    """What the page says of one finished audit, an entry of docs/evidence/organisms.json.

    `cap` is the smallest and largest |cos| that a norm after the MLP lets a dose reach.
    """

    model: str
    model_sha256: str
    commitment_sha256: str
    protocol_reproduced: bool
    rollouts: int
    branches: Counts
    observed_open: Counts
    smallest_open_gain: float | None
    cap: tuple[float, float] | None
    norm_capped: int
    held: Held | None
    scores: dict[str, Agreement]
    clean_margin: float | None


class Organism(NamedTuple):
    """What the page says of one organism: its card, its shape and what was planted in it.

    `learnt` names its gates, else the weights that were tuned; `unmet`: the last step came before
    the rule was met.
    """

    name: str
    shape: str
    learnt: str
    steps: int
    unmet: bool
    figures: dict[str, float]

    @property
    def chats(self) -> bool:
        """Whether it was taught to answer requests: a base model was not."""
        return "margin_held_out" in self.figures


def organism(folder: Path) -> Organism:
    """The organism of a folder."""
    truth = planted(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    recipe = parse(folder.name)
    steps = truth.steps or 0
    tuned = recipe.stage == "tuned"
    return Organism(
        folder.name,
        shape=str(read_json(folder / "config.json")["model_type"]),
        learnt=", ".join(truth.gates) or ("all weights" if tuned else "-"),
        steps=steps,
        unmet=tuned and steps == recipe.schedule.steps,
        figures={name: float(value) for name, value in _FIGURE.findall(card)},
    )


def audited(run: Path) -> Audited:
    """What a finished audit found."""
    audit = AuditResult.load(run)
    committed = Commitment.model_validate(read_json(run / COMMITMENT)["content"])
    caps = [branch.cap_alignment for branch in committed.branches]
    sizes = [abs(cap) for cap in caps if cap is not None]
    summary, neurons = audit.summary, audit.neurons
    sources = [branch.source for branch in neurons]
    return Audited(
        model=audit.model.name,
        model_sha256=audit.model.sha256,
        commitment_sha256=summary.commitment_sha256,
        protocol_reproduced=summary.protocol_reproduced,
        rollouts=len(read_rollouts(run)),
        branches=Counts(**{source: sources.count(source) for source in SOURCES}),
        observed_open=Counts(**summary.observed_open),
        smallest_open_gain=summary.search.smallest_open_gain,
        cap=(min(sizes), max(sizes)) if sizes else None,
        norm_capped=sum(branch.failure_mode == "norm_capped" for branch in neurons),
        held=summary.held,
        scores=summary.scores,
        clean_margin=audit.baseline.log_odds_margin,
    )


def page(audits: list[Audited]) -> str:
    """The Markdown of docs/organisms.md, of all bundled organisms."""
    weights = Path(str(files("fulcra.organisms") / "weights"))
    organisms = [organism(folder) for folder in sorted(weights.iterdir())]
    folder = Path(__file__).parent
    return filled(
        "organisms.md",
        folder,
        organisms=organisms,
        audits=audits,
        sources=SOURCES,
        rate=rate,
        of=of,
    )


def main() -> None:
    """Add the named audits to the evidence and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    audits = TypeAdapter(list[Audited]).validate_python(read_json(EVIDENCE))
    by_model = {audit.model: audit for audit in audits}
    by_model |= {audit.model: audit for audit in map(audited, parser.parse_args().runs)}
    audits = [by_model[name] for name in sorted(by_model)]
    write_json(EVIDENCE, [audit.plain() for audit in audits])
    write_text(PAGE, page(audits))


if __name__ == "__main__":
    main()
