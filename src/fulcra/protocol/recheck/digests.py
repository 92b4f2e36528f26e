"""The checks of a seal: the digest of every file, the rollouts in their order, the one root."""

import re

from fulcra.errors import InputError
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles
from fulcra.protocol.results.seal import SHA256, Seal
from fulcra.protocol.seal import (
    OWNERS,
    REQUIRED,
    SEALED,
    block_digests,
    merkle_root,
    sealed,
)
from fulcra.store import AUDIT, ROLLOUTS, SEAL, SHARDS, SOURCE

#: How many digits of a digest a line shows.
SHORT = 12


def require_root(root: str) -> None:
    """InputError unless `root` is the root of a seal."""
    if not re.match(SHA256, root):
        raise InputError(
            f"--root {root}: expected the 64 hex digits of a seal, as `fulcra audit` prints them"
        )


def seal_checks(run: RunFiles, root: str | None) -> list[RunCheck]:
    """Every digest of the seal; of a run without one nothing, unless a root was noted of it."""
    if run.seal is None:
        return _unsealed(run, root)
    made = run.seal.made_root
    detail = f"stored {run.seal.root[:SHORT]}, made again {made[:SHORT]}"
    checks = [RunCheck("seal", made == run.seal.root, detail)]
    if root is not None:
        noted = f"noted {root[:SHORT]}, sealed {made[:SHORT]}"
        checks.append(RunCheck("root as noted", root == made == run.seal.root, noted))
    names = [*SEALED, *(stored.shard.file for stored in run.rollouts.shards)]
    checks += [_file(run, run.seal, name) for name in names if _concerns(run, run.seal, name)]
    return [*checks, _rollouts(run, run.seal)]


def _unsealed(run: RunFiles, root: str | None) -> list[RunCheck]:
    """What a run without a seal fails: its plan remembers that one belongs to it.

    Of runs from before the plan did, every one that remembers its source had a seal.
    """
    checks = []
    if root is not None:
        checks.append(RunCheck("root as noted", False, f"noted {root[:SHORT]}, no {SEAL}"))
    if run.content.plan.sealed:
        detail = f"no {SEAL}, which the plan in the commitment says that the run ended with"
        checks.append(RunCheck("seal", False, detail))
    elif (run.folder / SOURCE).exists():
        checks.append(RunCheck("seal", False, f"no {SEAL}, which runs with a {SOURCE} have"))
    return checks


def _concerns(run: RunFiles, seal: Seal, name: str) -> bool:
    """Whether a file is there or should be; its owner may keep words and salt back."""
    there = (run.folder / name).exists()
    return there or name in REQUIRED or (name in seal.files and name not in OWNERS)


def _file(run: RunFiles, seal: Seal, name: str) -> RunCheck:
    """Whether a file has the digest that was sealed."""
    title, path, stands = f"seal of {name}", run.folder / name, seal.files.get(name)
    if stands is None:
        return RunCheck(title, False, "was not there when the run was sealed")
    if not path.is_file():
        return RunCheck(title, False, "was there when the run was sealed, and is gone")
    content = sealed(path.read_bytes())
    detail = f"sealed {stands.sha256[:SHORT]}, found {content.sha256[:SHORT]}"
    if name != AUDIT:
        return RunCheck(title, content == stands, detail)
    blocks = _changed_blocks(run, seal)
    changed = f"; other than sealed: {', '.join(blocks)}" if blocks else ""
    return RunCheck(title, content == stands and not blocks, f"{detail}{changed}")


def _changed_blocks(run: RunFiles, seal: Seal) -> list[str]:
    """The blocks of audit.json that were changed, added or removed."""
    blocks = block_digests(run.audit)
    names = [*seal.blocks, *(name for name in blocks if name not in seal.blocks)]
    return [name for name in names if seal.blocks.get(name) != blocks.get(name)]


def _rollouts(run: RunFiles, seal: Seal) -> RunCheck:
    """Whether the rollouts are those that were sealed, shard by shard and in their order."""
    shards = [stored.shard for stored in run.rollouts.shards]
    rows, root = sum(shard.rows for shard in shards), merkle_root(shard.leaf for shard in shards)
    detail = (
        f"sealed {seal.rows} rows, {seal.shards_root[:SHORT]}; found {rows}, {root[:SHORT]} of"
        f" {len(shards)} shards"
    )
    return RunCheck("seal of rollouts", (seal.rows, seal.shards_root) == (rows, root), detail)


def shard_checks(run: RunFiles) -> list[RunCheck]:
    """Whether each shard is what the list says; nothing in runs of the first versions."""
    shards = run.rollouts.shards
    if not shards:
        return []
    listed = {stored.shard.file for stored in shards}
    stand = (f"{SHARDS}/{path.name}" for path in (run.folder / SHARDS).glob("*.parquet"))
    faults = [stored.fault for stored in shards if stored.fault]
    faults += [f"{name}: not in {ROLLOUTS}" for name in sorted(stand) if name not in listed]
    return [RunCheck("shards", not faults, faults[0] if faults else f"{len(shards)} as listed")]
