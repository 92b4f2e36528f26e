"""The checks of the one extension that may stand beside a run: its seal, and verdicts again."""

from collections import Counter
from pathlib import Path

from fulcra.protocol.extended import (
    FILES,
    LEVEL,
    RULE,
    extension_folder,
    looked,
    read_extension_plan,
    read_extension_seal,
)
from fulcra.protocol.recheck.digests import SHORT
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles
from fulcra.protocol.records import Record, records_of
from fulcra.protocol.redaction import salt_of, text_hash
from fulcra.protocol.results.extension import ExtensionPlan, ExtensionResult, ExtensionSeal
from fulcra.protocol.seal import OWNERS, merkle_root, sealed
from fulcra.protocol.shards import Rollouts, opened_rollouts
from fulcra.store import COMMITMENT, EXTENSION, MANIFEST, SHARDS, digest, read_json


def extension_checks(run: RunFiles) -> list[RunCheck]:
    """Every check of a run's extension; none where there is none."""
    folder = extension_folder(run.folder)
    if not folder.is_dir():
        return []
    if not (folder / EXTENSION).is_file():
        return [RunCheck("extension", True, "begun, not finished: nothing of it counts")]
    rollouts, seal = opened_rollouts(folder), read_extension_seal(folder)
    stored, result = read_json(folder / COMMITMENT), ExtensionResult.load(folder)
    plan = read_extension_plan(stored, folder)
    records = records_of(rollouts.rows)
    made = digest(stored["content"])
    hashes = {made, stored["sha256"], result.commitment_sha256}
    manifest = read_json(folder / MANIFEST)
    changed = [key for key, value in manifest.items() if stored["content"].get(key) != value]
    changed += [] if (plan.level, plan.rule) == (LEVEL, RULE) else ["rule"]
    return [
        _names(run, seal, plan, result),
        RunCheck("extension commitment", len(hashes) == 1, f"made again {made[:SHORT]}"),
        RunCheck("extension plan", not changed, ", ".join(changed) or "that of its manifest"),
        _sealed(folder, seal, rollouts),
        _counts(run, plan, records),
        _texts(run, folder, records),
        _verdicts(run, plan, records, result),
    ]


def _names(
    run: RunFiles, seal: ExtensionSeal, plan: ExtensionPlan, result: ExtensionResult
) -> RunCheck:
    """Whether seal, commitment and result all name this run, and the branches it left open."""
    root = None if run.seal is None else run.seal.root
    named = {seal.extends, plan.extends, result.extends} == {root}
    named &= plan.model_sha256 == result.model.sha256 == run.result.model.sha256
    named &= plan.extended_commitment == run.stored["sha256"]
    gains = {entry.branch: run.content.gains_of(entry) for entry in run.content.branches}
    left = {b.name for b in run.result.neurons if b.verdict == "undetermined"}
    wanted = {name: gains[name] for name in gains if name in left}
    ladders = {ladder.branch: ladder.gains for ladder in plan.branches}
    detail = f"extends {seal.extends[:SHORT]}, {len(ladders)} of {len(wanted)} undetermined"
    return RunCheck("extension of this run", named and ladders == wanted, detail)


def _sealed(folder: Path, seal: ExtensionSeal, rollouts: Rollouts) -> RunCheck:
    """Whether every file, the rollouts and the root are those that were sealed."""
    shards = [stored.shard for stored in rollouts.shards]
    names = [*FILES, *(shard.file for shard in shards)]
    listed = {f"{SHARDS}/{path.name}" for path in (folder / SHARDS).glob("*.parquet")}
    faults = [stored.fault for stored in rollouts.shards if stored.fault]
    faults += sorted(listed - set(names))
    for name in dict.fromkeys([*names, *seal.files]):
        path, stands = folder / name, seal.files.get(name)
        if not path.is_file():
            faults += [] if stands is None or name in OWNERS else [f"{name} is gone"]
        elif stands != sealed(path.read_bytes()):
            faults.append(name)
    rolled = (sum(shard.rows for shard in shards), merkle_root(shard.leaf for shard in shards))
    faults += [] if rolled == (seal.rows, seal.shards_root) else ["rollouts"]
    faults += [] if seal.made_root == seal.root else ["root"]
    other = f"other than sealed: {', '.join(faults)}"
    return RunCheck("extension seal", not faults, other if faults else f"root {seal.root}")


def _counts(run: RunFiles, plan: ExtensionPlan, records: list[Record]) -> RunCheck:
    """Whether each committed branch has each gain on each new prompt once, and nothing else."""
    wanted = Counter(("baseline", "undosed", "set", 0.0, prompt) for prompt in plan.prompts)
    wanted.update(
        ("confirmation", ladder.branch, "add", gain, prompt)
        for ladder in plan.branches
        for gain in ladder.gains
        for prompt in plan.prompts
    )
    rolled = Counter((r.stage, r.branch, r.op, r.dose, r.prompt) for r in records)
    before = set(plan.prompts) & {record.prompt for record in run.records}
    twice = len(plan.prompts) - len(set(plan.prompts))
    lost, uninvited = (wanted - rolled).total(), (rolled - wanted).total()
    detail = f"{len(records)} rows, {lost} missing, {uninvited} too many, {len(before)} known"
    return RunCheck("extension rollouts", not (lost or uninvited or before or twice), detail)


def _texts(run: RunFiles, folder: Path, records: list[Record]) -> RunCheck:
    """Whether every text of a behavior that is not sensitive has the hash its rollout has."""
    public = [record for record in records if not run.result.behavior.sensitive or record.text]
    salt = salt_of(folder)
    altered = sum(text_hash(salt, record.text) != record.text_hash for record in public)
    detail = f"{altered} of {len(public)} do not have their hash"
    return RunCheck("extension texts", not altered, detail)


def _verdicts(
    run: RunFiles, plan: ExtensionPlan, records: list[Record], result: ExtensionResult
) -> RunCheck:
    """Whether counts, intervals and verdicts are those of both looks' rollouts."""
    try:
        again = looked(run.content, run.records, plan, records)
    except (ArithmeticError, LookupError, ValueError) as error:
        why = " ".join(str(error).split())
        return RunCheck("extension figures", False, f"cannot be made again: {why}")
    equal = again == result.looked
    detail = "equal" if equal else "other than commitment and rollouts give"
    return RunCheck("extension figures", equal, detail)
