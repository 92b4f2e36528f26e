"""The second look at a finished run: hashes, counts and scores made again from commitment and rollouts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fulcra.errors import RunFolderError
from fulcra.rollouts import Record
from fulcra.store import AUDIT, COMMITMENT, ROLLOUTS, digest, plain, read_json, read_rows
from fulcra.studies.measurement import records_of
from fulcra.studies.results import results


class Check(NamedTuple):
    """One thing that was recomputed: whether it agrees, and the two values where it does not."""

    name: str
    passed: bool
    detail: str


def verify(folder: Path) -> list[Check]:
    """Every check of a run's folder: commitment hash, manifest, rollout counts, and each measured figure of audit.json."""
    missing = [name for name in (AUDIT, COMMITMENT, ROLLOUTS, "manifest.json") if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`")
    audit, commitment = read_json(folder / AUDIT), read_json(folder / COMMITMENT)
    content, records = commitment["content"], records_of(read_rows(folder / ROLLOUTS))
    return [
        *_hashes(folder, audit, commitment),
        *_counts(content, records),
        *_scores(audit, plain(results(content, commitment["sha256"], records))),
    ]


def _hashes(folder: Path, audit: Mapping[str, Any], commitment: Mapping[str, Any]) -> list[Check]:
    found = digest(commitment["content"])
    plan, manifest = commitment["content"]["plan"], read_json(folder / "manifest.json")
    same = all(plan.get(key) == value for key, value in manifest.items())
    return [
        Check("commitment hash", found == commitment["sha256"], f"stored {commitment['sha256'][:12]}, made again {found[:12]}"),
        Check("audit names it", audit["summary"]["commitment_sha256"] == found, f"audit.json says {str(audit['summary']['commitment_sha256'])[:12]}"),
        Check("plan is the manifest's", same, "arguments, model, prompts and code"),
    ]


def _counts(content: Mapping[str, Any], records: Sequence[Record]) -> list[Check]:
    """No committed branch may lack a rung: a committed neuron cannot leave the denominator."""
    plan, checks = content["plan"], []
    committed = [branch["branch"] for branch in content["branches"]]
    for stage, names in (("selection", committed), ("ceiling", committed), ("confirmation", committed), ("control", content["controls"])):
        seen = {(r.branch, r.dose) for r in records if r.stage == stage}
        lost = [f"{name} at {gain:g}" for name in names for gain in plan["gains"] if (name, gain) not in seen]
        uninvited = {name for name, _ in seen} - set(names)
        rollouts = sum(r.stage == stage for r in records)
        checks.append(Check(f"{stage} rollouts", not lost and not uninvited and rollouts % len(seen) == 0, f"{rollouts} rollouts, {len(lost)} rungs missing, {len(uninvited)} branches not committed"))
    return checks


def _difference(stored: Any, made: Any, path: str = "") -> str | None:
    """Where two values first differ; keys that only the stored one has are not recomputed."""
    if isinstance(made, Mapping) and isinstance(stored, Mapping):
        for key, value in made.items():
            if key not in stored:
                return f"{path}.{key} is missing"
            if found := _difference(stored[key], value, f"{path}.{key}"):
                return found
        return None
    if isinstance(made, list) and isinstance(stored, list):
        if len(made) != len(stored):
            return f"{path} has {len(stored)} entries, made again {len(made)}"
        return next((found for i, pair in enumerate(zip(stored, made, strict=True)) if (found := _difference(*pair, f"{path}[{i}]"))), None)
    return None if stored == made else f"{path}: stored {stored}, made again {made}"


def _scores(audit: Mapping[str, Any], again: Mapping[str, Any]) -> list[Check]:
    checks = []
    for part, made in again.items():
        found = _difference(audit.get(part), made, part)
        checks.append(Check(f"{part} figures", found is None, found or "equal"))
    return checks
