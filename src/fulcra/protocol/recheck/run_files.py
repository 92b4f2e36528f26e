"""The files of a finished run, read once for all checks of the second look."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fulcra.errors import RunFolderError
from fulcra.protocol.records import Record, records_of
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.seal import Seal
from fulcra.protocol.schedule import measure_of
from fulcra.protocol.seal import REQUIRED, read_seal
from fulcra.protocol.shards import Rollouts, has_rollouts, opened_rollouts
from fulcra.store import AUDIT, COMMITMENT, MANIFEST, ROLLOUTS, read_json

Json = Mapping[str, Any]


class RunCheck(NamedTuple):
    """One thing that was recomputed: whether it agrees, and the two values where it does not."""

    name: str
    passed: bool
    detail: str


class RunFiles(NamedTuple):
    """What stands in a run's folder: as files hold it, and as values; the seal where it has one."""

    folder: Path
    manifest: Json
    audit: Json
    stored: Json
    rollouts: Rollouts
    result: AuditResult
    content: Commitment
    records: Sequence[Record]
    seal: Seal | None

    @property
    def full(self) -> bool:
        """Whether every rollout of the plan was made."""
        return measure_of(self.content) == "full"


def read_run(folder: Path) -> RunFiles:
    """The files of a finished run; RunFolderError where one is missing, broken or another's."""
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    missing += [] if has_rollouts(folder) else [ROLLOUTS]
    if missing:
        raise RunFolderError(
            f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`"
        )
    manifest = _object(folder / MANIFEST)
    audit = _object(folder / AUDIT, "summary", "model", "behavior", "settings")
    stored = _object(folder / COMMITMENT, "sha256", "content")
    rollouts = opened_rollouts(folder)
    return RunFiles(
        folder,
        manifest,
        audit,
        stored,
        rollouts,
        AuditResult.of(audit),
        Commitment.model_validate(stored["content"]),
        records_of(rollouts.rows),
        read_seal(folder),
    )


def _object(path: Path, *keys: str) -> Json:
    content = read_json(path)
    lacking = [key for key in keys if not isinstance(content, dict) or key not in content]
    if lacking or not isinstance(content, dict):
        fault = f"no {', '.join(lacking)}" if lacking else "no keys"
        raise RunFolderError(f"{path}: {fault}; expected what `fulcra audit` wrote")
    return content
