"""The end of a run: what it found as audit.json holds it, and the files that stay."""

from collections.abc import Sequence

from fulcra.formulas.coordinate import Coordinate
from fulcra.models.coordinate import realised_alignment
from fulcra.protocol.commit import Committed
from fulcra.protocol.quotes import behavior_entry, samples
from fulcra.protocol.records import SCHEMA, Record, record_rows
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows
from fulcra.protocol.results.audit import (
    AuditResult,
    Branch,
    Rung,
    SettingsEntry,
)
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.runs import Run, model_entry
from fulcra.protocol.seal import write_seal
from fulcra.protocol.subject import Subject
from fulcra.store import (
    AUDIT,
    PRIVATE,
    ROLLOUTS,
    TEXTS,
    RunFolder,
    read_rows,
    write_json,
    write_rows,
    write_text,
)

SCHEMA_VERSION = 1


def finished(
    run: Run, subject: Subject, branches: Sequence[Coordinate], committed: Committed
) -> AuditResult:
    """What the run found; with a folder, saved there and the parts dropped."""
    plan, measured = committed.content.plan, committed.figures
    by_name = {str(place.branch): place for place in branches}
    neurons = [_with_spread(subject, by_name.get(b.name), b) for b in measured.neurons]
    result = AuditResult(
        schema_version=SCHEMA_VERSION,
        model=model_entry(subject.model),
        behavior=behavior_entry(subject.behavior, subject.horizons),
        settings=SettingsEntry(**plan.settings),
        provenance=Provenance.now(
            generic_sha256=plan.generic_sha256,
            reference=plan.reference,
            coherence=plan.coherence,
        ),
        baseline=measured.baseline,
        neurons=tuple(neurons),
        context=measured.context,
        positive_control=measured.positive_control,
        summary=measured.summary,
        samples=tuple(samples(subject.behavior, neurons, committed.records)),
        timing=run.clock.timing(),
    )
    if run.clock.incidents.met:
        result = result.model_copy(update={"incidents": run.clock.incidents.entry})
    result = AuditResult.of(result.plain())
    if run.folder is not None:
        save(run.folder, result, committed.records)
    return result


def save(folder: RunFolder, result: AuditResult, records: Sequence[Record]) -> None:
    """Write texts, rollouts, report, seal and audit.json (last: a finished run); drop parts."""
    if parts := folder.text_parts():
        texts = ((row["text_hash"], row["text"]) for part in parts for row in read_rows(part))
        write_rows(folder.path / TEXTS, kept_rows(texts), TEXTS_SCHEMA, PRIVATE)
    write_rows(folder.path / ROLLOUTS, record_rows(records), SCHEMA)
    for name, text in result.pages().items():
        write_text(folder.path / name, text)
    write_seal(folder.path, result)
    write_json(folder.path / AUDIT, result.plain())
    folder.drop_parts()


def _with_spread(subject: Subject, place: Coordinate | None, branch: Branch) -> Branch:
    """The branch with the 5-95 % range of the realised alignment at every rung."""
    if place is None:
        return branch
    curve = tuple(_rung_with_spread(subject, place, rung) for rung in branch.curve)
    return branch.model_copy(update={"curve": curve})


def _rung_with_spread(subject: Subject, place: Coordinate, rung: Rung) -> Rung:
    low, high = realised_alignment(subject.model, subject.ground.stream, place, rung.gain)
    return rung.model_copy(update={"alignment_low": low, "alignment_high": high})
