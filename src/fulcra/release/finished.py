"""Finished runs as what is decided by them: their files with their evidence."""

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fulcra.errors import Inconclusive, InputError, RunFolderError
from fulcra.protocol.recheck.run_files import RunFiles, read_run
from fulcra.protocol.results.audit import SCHEMA_VERSION, AuditResult
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.staged import Evidence
from fulcra.report.headline import why_no_verdict
from fulcra.store import AUDIT, MANIFEST, read_json


class FinishedRun(NamedTuple):
    """The files of a finished run, and its records by stage and branch."""

    files: RunFiles
    evidence: Evidence

    @property
    def result(self) -> AuditResult:
        """What the run's audit.json holds."""
        return self.files.result

    @property
    def name(self) -> str:
        """The name of the run's folder, a character that steers a terminal as a question mark."""
        name = self.files.folder.resolve().name
        return "".join(letter if letter.isprintable() else "?" for letter in name)

    @property
    def gains(self) -> tuple[float, ...]:
        """The ladder of the run."""
        return self.files.content.plan.gains


def finished_run(folder: Path) -> FinishedRun:
    """The run in a folder; RunFolderError in one line where none came to its end there."""
    if (folder / MANIFEST).is_file() and not (folder / AUDIT).is_file():
        raise RunFolderError(
            f"{folder}: the run did not finish; the command it was begun with, with --out {folder},"
            " goes on with it"
        )
    _require_schema(folder)
    try:
        files = read_run(folder)
        return FinishedRun(files, Evidence(files.records, files.content.plan.horizons))
    except ValidationError as error:
        fault = fault_line(error)
    except (AttributeError, KeyError, TypeError) as error:
        fault = f"its files lack {error}"
    raise RunFolderError(f"{folder}: {fault}; expected what `fulcra audit` wrote")


def _require_schema(folder: Path) -> None:
    """RunFolderError where audit.json is of another schema; what is no audit is told elsewhere."""
    if not (folder / AUDIT).is_file():
        return
    audit = read_json(folder / AUDIT)
    version = audit.get("schema_version") if isinstance(audit, dict) else None
    if version != SCHEMA_VERSION:
        raise RunFolderError(
            f"{folder}: audit.json is of schema {version}, this release reads {SCHEMA_VERSION};"
            " read it with the release that its manifest names, or audit again"
        )


def require_outside(option: str, path: Path, folder: Path) -> None:
    """InputError where a file to write lies in a run's folder: it could be one of the run's own."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{option} {path}: lies in the folder of the run {folder}, whose files are sealed;"
            " choose a place elsewhere"
        )


def require_verdict(run: FinishedRun) -> None:
    """Inconclusive where a run draws no verdict."""
    if not run.result.summary.protocol_reproduced:
        why = why_no_verdict(run.result)
        raise Inconclusive(
            f"{run.files.folder}: the run draws no verdict, so nothing is decided by it: {why}"
        )
