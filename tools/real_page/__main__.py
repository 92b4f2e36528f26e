"""Writes docs/real-model.md from docs/evidence/real: `python -m tools.real_page [RUN ...]`.

The folders of runs that are named are first taken in as evidence: an audit without its quoted
completions, every other result as it is.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.contexts import ContextsResult
from fulcra.protocol.results.detector import DetectorResult
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.exemplars import TABLE, ExemplarsResult
from fulcra.protocol.results.fitness import FitnessTable
from fulcra.protocol.results.interventions import InterventionsResult
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.store import AUDIT, write_json, write_text
from tools.real_page.audits import audits_section, law_section
from tools.real_page.ceilings import ceilings_section, contexts_section
from tools.real_page.papers import (
    detector_section,
    effects_section,
    exemplars_section,
    interventions_section,
    multiply_section,
    screens_section,
)

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE, PAGE = ROOT / "docs" / "evidence" / "real", ROOT / "docs" / "real-model.md"


Kind = TypeVar("Kind", bound=Result)
#: Every kind of evidence but the audits.
KINDS: tuple[type[Result], ...] = (
    ModelCeilings,
    ContextsResult,
    ScreensResult,
    MultiplyResult,
    InterventionsResult,
    DetectorResult,
    EffectsResult,
    ExemplarsResult,
)


def take_in(run: Path) -> None:
    """Copy the figures of a run into the evidence."""
    if (run / AUDIT).is_file():
        audit = AuditResult.load(run).model_copy(update={"samples": ()})
        write_json(EVIDENCE / f"audit-{audit.behavior.name}.json", audit.plain())
    for kind in KINDS:
        if (run / kind.file).is_file():
            write_json(EVIDENCE / kind.file, kind.load(run).plain())
    if (run / TABLE).is_file():
        shutil.copyfile(run / TABLE, EVIDENCE / TABLE)


def page() -> str:
    """The whole page, from what stands in the evidence."""
    audits = [AuditResult.load(path) for path in sorted(EVIDENCE.glob("audit-*.json"))]
    parts = [_head(audits), _behaviors(), audits_section(audits), law_section(audits), *_studies()]
    return "\n".join(part for part in parts if part)


def _studies() -> Iterator[str]:
    """The sections of the studies that stand in the evidence, in the order of the page."""
    yield from map(ceilings_section, _stored(ModelCeilings))
    yield from map(contexts_section, _stored(ContextsResult))
    yield from map(screens_section, _stored(ScreensResult))
    yield from map(multiply_section, _stored(MultiplyResult))
    yield from map(interventions_section, _stored(InterventionsResult))
    yield from map(detector_section, _stored(DetectorResult))
    yield from map(effects_section, _stored(EffectsResult))
    yield from map(exemplars_section, _stored(ExemplarsResult))


def _stored(kind: type[Kind]) -> list[Kind]:
    """The result of a kind that stands in the evidence; none where there is none."""
    path = EVIDENCE / kind.file
    return [kind.load(path)] if path.is_file() else []


def _head(audits: Sequence[AuditResult]) -> str:
    lines = ["# What a real chat model showed", ""]
    if audits:
        model = audits[0].model
        lines.append(
            f"{model.name}: {model.layers} layers, d_model {model.d_model}, d_mlp {model.d_mlp},"
            f" {model.parameters:,} parameters, tuned by others, {model.dtype}, sha256"
            f" {model.sha256[:16]}."
        )
    lines += [
        "Written by `python -m tools.real_page` from `docs/evidence/real` alone; `make real`"
        " fetches the model.",
        "",
    ]
    return "\n".join(lines)


def _behaviors() -> str:
    table = FitnessTable.load(EVIDENCE / "behaviours.json")
    fit = sum(result.fit for result in table.tried)
    return (
        f"**Behaviors.** {fit} of {len(table.tried)} bundled behaviors are fit for an audit of it"
        " ([table](behaviours.md)).\n"
    )


def main(runs: Sequence[str]) -> int:
    """Take in the runs that were named, then write the page."""
    for run in runs:
        take_in(Path(run))
    write_text(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
