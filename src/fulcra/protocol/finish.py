"""The end of a run: what it found as audit.json holds it, and the files that stay."""

from collections.abc import Sequence
from pathlib import Path

from fulcra.formulas.coordinate import Coordinate
from fulcra.models.coordinate import realised_alignment
from fulcra.protocol.commit import Committed
from fulcra.protocol.quotes import behavior_entry, samples
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows
from fulcra.protocol.results.audit import (
    SCHEMA_VERSION,
    AuditResult,
    Branch,
    Rung,
    SettingsEntry,
)
from fulcra.protocol.results.rollouts import Shard
from fulcra.protocol.runs import Run, model_entry, provenance_of
from fulcra.protocol.seal import read_seal, write_seal
from fulcra.protocol.shards import list_shards
from fulcra.protocol.subject import Subject
from fulcra.protocol.witness.entries import Outcome
from fulcra.store import (
    PRIVATE,
    TEXTS,
    RunFolder,
    read_rows,
    write_rows,
)


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
        provenance=provenance_of(
            subject.model,
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
        save(run.folder, result, committed.shards)
        _enter_end(run, run.folder.path, result)
    return result


def reopened(run: Run) -> AuditResult | None:
    """What a run that is over found, its end entered where it has a ledger; None of all others."""
    if run.folder is None or not run.folder.finished:
        return None
    result = AuditResult.load(run.folder.path)
    _enter_end(run, run.folder.path, result)
    return result


def _enter_end(run: Run, folder: Path, result: AuditResult) -> None:
    """Enter in the run's ledger how it ended, once."""
    if run.seat is not None:
        run.seat.end(result.summary.commitment_sha256, outcome_of(folder, result))


def outcome_of(folder: Path, result: AuditResult) -> Outcome:
    """How a finished run ended, as its ledger holds it."""
    seal, summary = read_seal(folder), result.summary
    verdicts = ("open", "closed", "undetermined")
    counts = {name: getattr(summary, name) for name in verdicts}
    return Outcome(
        state="finished" if summary.protocol_reproduced else "no verdict",
        seal=None if seal is None else seal.root,
        counts=counts if seal is None else {"rollouts": seal.rows, **counts},
    )


def save(folder: RunFolder, result: AuditResult, shards: Sequence[Shard]) -> None:
    """Write texts, list of shards, report, seal and audit.json (last: a finished run); drop parts.

    The rollouts themselves stand already.
    """
    if parts := folder.text_parts():
        words = (read_rows(part, TEXTS_SCHEMA) for part in parts)
        texts = ((row["text_hash"], row["text"]) for rows in words for row in rows)
        write_rows(folder.path / TEXTS, kept_rows(texts), TEXTS_SCHEMA, PRIVATE)
    list_shards(folder.path, shards)
    result.write_pages(folder.path)
    write_seal(folder.path, result)
    result.write(folder.path)
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
