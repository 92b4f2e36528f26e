"""The second look at a finished run: hashes, counts and figures made again from its files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fulcra.errors import RunFolderError
from fulcra.protocol.evidence import figures
from fulcra.protocol.recheck.blocks import block_checks, known_behavior
from fulcra.protocol.recheck.coverage import Coverage, coverage
from fulcra.protocol.recheck.digests import require_root, seal_checks, shard_checks
from fulcra.protocol.recheck.extension import extension_checks
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles, read_run
from fulcra.protocol.recheck.schedule import schedule_checks
from fulcra.protocol.records import Record
from fulcra.protocol.redaction import TEXTS_SCHEMA, salt_of, text_hash
from fulcra.protocol.results.base import fault_line
from fulcra.store import TEXTS, digest, read_rows

#: The 5-95 % range of a realised alignment over positions: only the model can make it again.
RANGES = {"alignment_low", "alignment_high"}


class SecondLook(NamedTuple):
    """Every check of a run's folder, what each file and block rests on, the root of the seal."""

    checks: list[RunCheck]
    coverage: list[Coverage]
    root: str | None

    @property
    def passed(self) -> bool:
        """Whether every check of the folder passed."""
        return all(check.passed for check in self.checks)


def verify(folder: Path, root: str | None = None) -> list[RunCheck]:
    """Every check of a run's folder: its seal, hashes, rollout counts, each figure of audit.json.

    `root` is the root of the seal as noted elsewhere. RunFolderError where the folder is not that
    of a finished run, InputError where the root is none.
    """
    return second_look(folder, root).checks


def second_look(folder: Path, root: str | None = None) -> SecondLook:
    """The checks of `verify` with what they cover, file by file and block by block."""
    if root is not None:
        require_root(root)
    try:
        run = read_run(folder)
        sealed = None if run.seal is None else run.seal.root
        return SecondLook(_checks(run, root), coverage(run), sealed)
    except ValidationError as error:
        fault = fault_line(error)
    except (AttributeError, KeyError, TypeError) as error:
        fault = f"its files lack {error}"
    raise RunFolderError(f"{folder}: {fault}; expected what `fulcra audit` wrote")


def _checks(run: RunFiles, root: str | None) -> list[RunCheck]:
    return [
        *_hashes(run),
        *_counts(run),
        *_scores(run),
        *shard_checks(run),
        *block_checks(run, known_behavior(run)),
        *seal_checks(run, root),
        *extension_checks(run),
    ]


def _hashes(run: RunFiles) -> list[RunCheck]:
    """The commitment's own hash, whose run it is, and that no text was changed."""
    stored, audit, manifest = run.stored, run.audit, run.manifest
    made, plan = digest(stored["content"]), stored["content"]["plan"]
    named = str(audit["summary"]["commitment_sha256"])
    changed = [key for key, value in manifest.items() if plan.get(key) != value]
    audited = (audit["model"]["sha256"], audit["behavior"]["sha256"], audit["settings"])
    planned = (plan["model_sha256"], plan["behavior_sha256"], plan["settings"])
    stands = f"stored {stored['sha256'][:12]}, made again {made[:12]}"
    says = f"audit.json says {named[:12]}, made again {made[:12]}"
    whose = f"different: {', '.join(changed)}" if changed else "arguments, model, prompts and code"
    return [
        RunCheck("commitment hash", made == stored["sha256"], stands),
        RunCheck("audit names it", named == made, says),
        RunCheck("plan is the manifest's", not changed, whose),
        RunCheck("audit is the plan's", audited == planned, "model, behavior and settings"),
        _texts(run),
    ]


def _texts(run: RunFiles) -> RunCheck:
    """Whether every text that stands in a file of the run has the hash its rollout has."""
    texts = [(record.text_hash, record.text) for record in run.records if _public(run, record)]
    if (run.folder / TEXTS).is_file():
        texts += [
            (row["text_hash"], row["text"]) for row in read_rows(run.folder / TEXTS, TEXTS_SCHEMA)
        ]
    salt = salt_of(run.folder)
    altered = sum(text_hash(salt, text) != hashed for hashed, text in texts)
    return RunCheck(
        "rollout texts", not altered, f"{altered} of {len(texts)} do not have their hash"
    )


def _public(run: RunFiles, record: Record) -> bool:
    """Whether a rollout's words stand beside it; in a sealed run an empty text is one, too."""
    return bool(record.text) or (run.seal is not None and not run.result.behavior.sensitive)


def _counts(run: RunFiles) -> list[RunCheck]:
    """No committed branch may lack a rung, no rung a prompt: nothing leaves the denominator."""
    if not run.full:
        return schedule_checks(run)
    content, records = run.content, run.records
    gains = content.plan.gains
    branches = {entry.branch: content.gains_of(entry) for entry in content.branches}
    rungs = {name: gains[: content.control_rungs.get(name)] for name in content.controls}
    return [
        *(_count(stage, branches, records) for stage in ("selection", "ceiling", "confirmation")),
        _count("control", rungs, records),
    ]


def _count(stage: str, rungs: Mapping[str, Sequence[float]], records: Sequence[Record]) -> RunCheck:
    """Whether each branch has every rung of a stage, with as many prompts, and no more."""
    counts = Counter((r.branch, r.gain) for r in records if (r.stage, r.op) == (stage, "add"))
    lost = sum((name, gain) not in counts for name, ladder in rungs.items() for gain in ladder)
    short = sum(count < max(counts.values()) for count in counts.values())
    uninvited = len({name for name, _ in counts} - set(rungs))
    detail = (
        f"{counts.total()} rollouts, {lost} rungs missing, {short} rungs short of prompts,"
        f" {uninvited} branches not committed"
    )
    return RunCheck(f"{stage} rollouts", not (lost or short or uninvited), detail)


def _scores(run: RunFiles) -> list[RunCheck]:
    """Every part of audit.json that commitment and rollouts determine, made again."""
    audit = run.audit
    try:
        again = figures(run.content, run.stored["sha256"], run.records).plain()
    except (ArithmeticError, LookupError, ValueError) as error:
        fault = f"cannot be made again from these rollouts: {' '.join(str(error).split())}"
        return [RunCheck("figures", False, fault)]
    differences = {part: _difference(audit.get(part), made, part) for part, made in again.items()}
    return [
        RunCheck(f"{part} figures", difference is None, difference or "equal")
        for part, difference in differences.items()
    ]


def _difference(stored: object, made: object, path: str) -> str | None:
    """Where two values first differ; the ranges of alignments alone are not made again."""
    if isinstance(made, Mapping) and isinstance(stored, Mapping):
        if added := set(stored) - set(made) - RANGES:
            return f"{path}.{min(added)} is not a figure of these rollouts"
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
