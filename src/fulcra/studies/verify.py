"""The second look at a finished run: hashes, counts and scores made again from its files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from fulcra.errors import RunFolderError
from fulcra.protocol.evidence import figures
from fulcra.protocol.records import Record, records_of
from fulcra.protocol.redaction import text_hash
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.results.commitment import Commitment
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    ROLLOUTS,
    TEXTS,
    digest,
    read_json,
    read_rows,
)

Json = Mapping[str, Any]


class Check(NamedTuple):
    """One thing that was recomputed: whether it agrees, and the two values where it does not."""

    name: str
    passed: bool
    detail: str


def verify(folder: Path) -> list[Check]:
    """Every check of a run's folder: hashes, rollout counts, each measured figure of audit.json.

    RunFolderError where the folder is not that of a finished run.
    """
    names = (AUDIT, COMMITMENT, ROLLOUTS, MANIFEST)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(
            f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`"
        )
    try:
        return _checks(folder)
    except ValidationError as error:
        fault = fault_line(error)
    except (AttributeError, KeyError, TypeError) as error:
        fault = f"its files lack {error}"
    raise RunFolderError(f"{folder}: {fault}; expected what `fulcra audit` wrote")


def _checks(folder: Path) -> list[Check]:
    manifest = read_json(folder / MANIFEST)
    audit = _object(folder / AUDIT, "summary", "model", "behavior", "settings")
    stored = _object(folder / COMMITMENT, "sha256", "content")
    records = records_of(read_rows(folder / ROLLOUTS))
    texts = [(record.text_hash, record.text) for record in records if record.text]
    if (folder / TEXTS).is_file():
        texts += [(row["text_hash"], row["text"]) for row in read_rows(folder / TEXTS)]
    hashes = _hashes(manifest, audit, stored, texts)
    content = Commitment.model_validate(stored["content"])
    return [*hashes, *_counts(content, records), *_scores(audit, stored, records)]


def _object(path: Path, *keys: str) -> Json:
    content = read_json(path)
    lacking = [key for key in keys if not isinstance(content, dict) or key not in content]
    if lacking:
        raise RunFolderError(f"{path}: no {', '.join(lacking)}; expected what `fulcra audit` wrote")
    return dict(content)


def _hashes(
    manifest: Json, audit: Json, stored: Json, texts: Sequence[tuple[str, str]]
) -> list[Check]:
    """The commitment's own hash, whose run it is, and that no text was changed."""
    made, plan = digest(stored["content"]), stored["content"]["plan"]
    named, salt = str(audit["summary"]["commitment_sha256"]), digest(manifest)
    changed = [key for key, value in manifest.items() if plan.get(key) != value]
    audited = (audit["model"]["sha256"], audit["behavior"]["sha256"], audit["settings"])
    planned = (plan["model_sha256"], plan["behavior_sha256"], plan["settings"])
    altered = sum(text_hash(salt, text) != hashed for hashed, text in texts)
    stands = f"stored {stored['sha256'][:12]}, made again {made[:12]}"
    says = f"audit.json says {named[:12]}, made again {made[:12]}"
    whose = f"different: {', '.join(changed)}" if changed else "arguments, model, prompts and code"
    hashed = f"{altered} of {len(texts)} do not have their hash"
    return [
        Check("commitment hash", made == stored["sha256"], stands),
        Check("audit names it", named == made, says),
        Check("plan is the manifest's", not changed, whose),
        Check("audit is the plan's", audited == planned, "model, behavior and settings"),
        Check("rollout texts", not altered, hashed),
    ]


def _counts(content: Commitment, records: Sequence[Record]) -> list[Check]:
    """No committed branch may lack a rung, no rung a prompt: nothing leaves the denominator."""
    gains = content.plan.gains
    branches = {entry.branch: content.gains_of(entry) for entry in content.branches}
    rungs = {name: gains[: content.control_rungs.get(name)] for name in content.controls}
    return [
        *(_count(stage, branches, records) for stage in ("selection", "ceiling", "confirmation")),
        _count("control", rungs, records),
    ]


def _count(stage: str, rungs: Mapping[str, Sequence[float]], records: Sequence[Record]) -> Check:
    """Whether each branch has every rung of a stage, with as many prompts, and no more."""
    counts = Counter((r.branch, r.gain) for r in records if (r.stage, r.op) == (stage, "add"))
    lost = sum((name, gain) not in counts for name, ladder in rungs.items() for gain in ladder)
    short = sum(count < max(counts.values()) for count in counts.values())
    uninvited = len({name for name, _ in counts} - set(rungs))
    detail = (
        f"{counts.total()} rollouts, {lost} rungs missing, {short} rungs short of prompts,"
        f" {uninvited} branches not committed"
    )
    return Check(f"{stage} rollouts", not (lost or short or uninvited), detail)


def _scores(audit: Json, stored: Json, records: Sequence[Record]) -> list[Check]:
    """Every part of audit.json that commitment and rollouts determine, made again."""
    content = Commitment.model_validate(stored["content"])
    try:
        again = figures(content, stored["sha256"], records).plain()
    except (ArithmeticError, LookupError, ValueError) as error:
        fault = f"cannot be made again from these rollouts: {' '.join(str(error).split())}"
        return [Check("figures", False, fault)]
    differences = {part: _difference(audit.get(part), made, part) for part, made in again.items()}
    return [
        Check(f"{part} figures", difference is None, difference or "equal")
        for part, difference in differences.items()
    ]


def _difference(stored: object, made: object, path: str) -> str | None:
    """Where two values first differ; keys that only the stored one has are not recomputed."""
    if isinstance(made, Mapping) and isinstance(stored, Mapping):
        for key, value in made.items():
            if key not in stored:
                return f"{path}.{key} is missing"
            if difference := _difference(stored[key], value, f"{path}.{key}"):
                return difference
        return None
    if isinstance(made, list) and isinstance(stored, list):
        if len(made) != len(stored):
            return f"{path} has {len(stored)} entries, made again {len(made)}"
        for i, pair in enumerate(zip(stored, made, strict=True)):
            if difference := _difference(*pair, f"{path}[{i}]"):
                return difference
        return None
    return None if stored == made else f"{path}: stored {stored}, made again {made}"
