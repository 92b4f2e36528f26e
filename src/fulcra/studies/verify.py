"""The second look at a finished run: hashes, counts and scores made again from commitment and
rollouts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fulcra.errors import RunFolderError
from fulcra.protocol import Record, text_hash
from fulcra.protocol.evidence import results
from fulcra.protocol.measure import records_of
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    ROLLOUTS,
    TEXTS,
    digest,
    plain,
    read_json,
    read_rows,
)


class Check(NamedTuple):
    """One thing that was recomputed: whether it agrees, and the two values where it does not."""

    name: str
    passed: bool
    detail: str


def verify(folder: Path) -> list[Check]:
    """Every check of a run's folder: hashes, rollout counts, and each measured figure of
    audit.json.
    """
    missing = [
        name for name in (AUDIT, COMMITMENT, ROLLOUTS, MANIFEST) if not (folder / name).is_file()
    ]
    if missing:
        raise RunFolderError(
            f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`"
        )
    manifest, audit = (
        read_json(folder / MANIFEST),
        _object(folder / AUDIT, "summary", "model", "behavior", "settings"),
    )
    commitment = _object(folder / COMMITMENT, "sha256", "content")
    try:
        content, records = commitment["content"], records_of(read_rows(folder / ROLLOUTS))
        kept = read_rows(folder / TEXTS) if (folder / TEXTS).is_file() else []
        texts = [(r.text_hash, r.text) for r in records if r.text] + [
            (row["text_hash"], row["text"]) for row in kept
        ]
        return [
            *_hashes(manifest, audit, commitment, texts),
            *_counts(content, records),
            *_scores(audit, commitment, records),
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{folder}: its files lack {error}; expected what `fulcra audit` wrote"
        ) from None


def _object(path: Path, *keys: str) -> dict[str, Any]:
    found = read_json(path)
    lacking = [key for key in keys if not isinstance(found, dict) or key not in found]
    if lacking:
        raise RunFolderError(f"{path}: no {', '.join(lacking)}; expected what `fulcra audit` wrote")
    return dict(found)


def _hashes(
    manifest: Mapping[str, Any],
    audit: Mapping[str, Any],
    commitment: Mapping[str, Any],
    texts: Sequence[tuple[str, str]],
) -> list[Check]:
    made, plan = digest(commitment["content"]), commitment["content"]["plan"]
    named, salt = str(audit["summary"]["commitment_sha256"]), digest(manifest)
    changed = [key for key, value in manifest.items() if plan.get(key) != value]
    audited = (audit["model"]["sha256"], audit["behavior"]["sha256"], audit["settings"])
    planned = (plan["model_sha256"], plan["behavior_sha256"], plan["settings"])
    altered = sum(known != text_hash(salt, text) for known, text in texts)
    return [
        Check(
            "commitment hash",
            made == commitment["sha256"],
            f"stored {commitment['sha256'][:12]}, made again {made[:12]}",
        ),
        Check(
            "audit names it", named == made, f"audit.json says {named[:12]}, made again {made[:12]}"
        ),
        Check(
            "plan is the manifest's",
            not changed,
            f"different: {', '.join(changed)}" if changed else "arguments, model, prompts and code",
        ),
        Check("audit is the plan's", audited == planned, "model, behavior and settings"),
        Check("rollout texts", not altered, f"{altered} of {len(texts)} do not have their hash"),
    ]


def _counts(content: Mapping[str, Any], records: Sequence[Record]) -> list[Check]:
    """No committed branch may lack a rung, no rung a prompt: what was committed cannot leave the
    denominator.
    """
    gains, committed, checks = (
        content["plan"]["gains"],
        [branch["branch"] for branch in content["branches"]],
        [],
    )
    rungs = {
        branch["branch"]: branch["rungs"] for branch in content["branches"] if "rungs" in branch
    } | content.get("control_rungs", {})
    for stage, names in (
        ("selection", committed),
        ("ceiling", committed),
        ("confirmation", committed),
        ("control", content["controls"]),
    ):
        seen = Counter((r.branch, r.dose) for r in records if r.stage == stage)
        lost = sum(
            (name, gain) not in seen
            for name in names
            for gain in gains[: rungs.get(name, len(gains))]
        )
        short = sum(count < max(seen.values()) for count in seen.values())
        uninvited = len({name for name, _ in seen} - set(names))
        detail = (
            f"{seen.total()} rollouts, {lost} rungs missing, {short} rungs short of prompts,"
            f" {uninvited} branches not committed"
        )
        checks.append(Check(f"{stage} rollouts", not (lost or short or uninvited), detail))
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
        return next(
            (
                found
                for i, pair in enumerate(zip(stored, made, strict=True))
                if (found := _difference(*pair, f"{path}[{i}]"))
            ),
            None,
        )
    return None if stored == made else f"{path}: stored {stored}, made again {made}"


def _scores(
    audit: Mapping[str, Any], commitment: Mapping[str, Any], records: Sequence[Record]
) -> list[Check]:
    try:
        again = plain(results(commitment["content"], commitment["sha256"], records))
    except (ArithmeticError, LookupError, ValueError) as error:
        return [
            Check(
                "figures",
                False,
                f"cannot be made again from these rollouts: {' '.join(str(error).split())}",
            )
        ]
    found = {part: _difference(audit.get(part), made, part) for part, made in again.items()}
    return [
        Check(f"{part} figures", difference is None, difference or "equal")
        for part, difference in found.items()
    ]
