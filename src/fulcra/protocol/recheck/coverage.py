"""What the second look rests on, said of every file of a run and every block of audit.json."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fulcra.protocol.recheck.blocks import known_behavior, redrawn
from fulcra.protocol.recheck.run_files import RunFiles
from fulcra.protocol.seal import OWNERS, SEALED
from fulcra.protocol.witness.signature import SIGNATURE
from fulcra.protocol.witness.timestamp import ANSWERS, QUERIES
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    COPY,
    EXTENSIONS,
    MANIFEST,
    PUBLIC_SALT,
    RECEIPT,
    REPORT,
    ROLLOUTS,
    SALT,
    SEAL,
    SHARDS,
    SOURCE,
    TEXTS,
    WHOLE,
)

Level = Literal["recomputed", "digest only", "not covered"]


class Coverage(NamedTuple):
    """What a file or block rests on; "not covered" is what may be changed without notice."""

    name: str
    level: Level
    detail: str


#: Of every rollout, in shards or in the one table of the first versions.
ROWS: tuple[Level, str] = (
    "digest only",
    "order and text hashes are made again; outcomes need the model (--rerun)",
)
#: Of every file, what is made again of it; without a value its digest alone is checked.
FILES: dict[str, tuple[Level, str]] = {
    MANIFEST: ("recomputed", "compared with the plan of the commitment"),
    COMMITMENT: ("digest only", "its hash is made again; its predictions need the model"),
    ROLLOUTS: ("recomputed", "its digests, from the shards"),
    WHOLE: ROWS,
    SOURCE: ("digest only", "where model and behavior came from, as recorded"),
    COPY: ("recomputed", "has the hash that the run names; labels are not part of it"),
    RECEIPT: ("digest only", "the run's place in a ledger, compared with it by --ledger"),
    TEXTS: ("recomputed", "every text has its hash"),
    SALT: ("digest only", "random"),
}
#: What others made of a seal's root or a commitment's hash, and what checks it.
BESIDE = {
    SIGNATURE: "a signature of the seal's root, checked by --signers alone",
    **dict.fromkeys(QUERIES.values(), "a query for a time stamp, which alone proves nothing"),
    **dict.fromkeys(ANSWERS, "a time stamp, checked by `openssl ts -verify` alone"),
    EXTENSIONS: "more prompts for undetermined branches: its own seal, the lines `extension`",
    PUBLIC_SALT: "the salt under a public form of this run, for its owner only",
}
#: Of every block of audit.json, what is made again of it.
BLOCKS: dict[str, tuple[Level, str]] = {
    "schema_version": ("digest only", "as recorded"),
    "model": ("digest only", "name, sha256 and dtype are the plan's; its shape is as recorded"),
    "settings": ("recomputed", "those of the plan"),
    "provenance": ("digest only", "code and standard are the plan's; releases are as recorded"),
    "baseline": ("recomputed", "from commitment and rollouts"),
    "neurons": ("recomputed", "from commitment and rollouts; ranges of alignments digest only"),
    "context": ("recomputed", "from commitment and rollouts"),
    "positive_control": ("recomputed", "from commitment and rollouts"),
    "summary": ("recomputed", "from commitment and rollouts"),
    "timing": ("digest only", "as recorded"),
    "incidents": ("digest only", "as recorded; broken numbers also show in the rollouts"),
}


def coverage(run: RunFiles) -> list[Coverage]:
    """What each file of the folder and each block of audit.json rests on."""
    files = {**FILES, REPORT: _report(run)}
    blocks = {**BLOCKS, **_of_behavior(run)}
    lines = [Coverage(name, *files[name]) for name in _present(run) if name != AUDIT]
    lines += [Coverage(stored.shard.file, *ROWS) for stored in run.rollouts.shards]
    lines += [Coverage(f"{AUDIT} {block}", *blocks[block]) for block in run.audit]
    lines = lines if run.seal is not None else [_undigested(line) for line in lines]
    return [*lines, *_seal(run), *_strangers(run)]


def _present(run: RunFiles) -> list[str]:
    """The files that a seal covers, and the one table of a run that has no shards."""
    names = SEALED if run.rollouts.shards else (*SEALED, WHOLE)
    return [name for name in names if (run.folder / name).is_file()]


def _report(run: RunFiles) -> tuple[Level, str]:
    if redrawn(run):
        return "recomputed", f"drawn again from {AUDIT}"
    return "digest only", "another code or release of plotly drew it"


def _of_behavior(run: RunFiles) -> dict[str, tuple[Level, str]]:
    """The blocks that are made again where the behavior is at hand."""
    if known_behavior(run) is None:
        why = "name, hash and horizons are the plan's; the behavior is not at hand"
        return {"behavior": ("digest only", why), "samples": ("digest only", "as recorded")}
    return {
        "behavior": ("recomputed", "from the behavior of that hash"),
        "samples": ("recomputed", "from behavior and rollouts"),
    }


def _undigested(line: Coverage) -> Coverage:
    """The same without a seal: what its digest alone covers is not covered."""
    return line._replace(level="not covered") if line.level == "digest only" else line


def _seal(run: RunFiles) -> Iterator[Coverage]:
    """The seal itself, and what its owner keeps back."""
    if run.seal is None:
        yield Coverage(SEAL, "not covered", "no seal")
        return
    yield Coverage(SEAL, "recomputed", "its root; a rewritten seal is noticed by --root alone")
    for name in OWNERS:
        if name in run.seal.files and not (run.folder / name).is_file():
            yield Coverage(name, "not covered", "kept back by the owner of the run")


def _strangers(run: RunFiles) -> Iterator[Coverage]:
    """Files that no seal covers."""
    shards = run.rollouts.shards
    own = {*SEALED, SEAL, *(stored.shard.file for stored in shards)}
    own |= {SHARDS} if shards else {WHOLE}
    for path in sorted((*run.folder.iterdir(), *(run.folder / SHARDS).glob("*"))):
        name = path.relative_to(run.folder).as_posix()
        if name not in own:
            detail = BESIDE.get(name, "not a file of the audit, or added later")
            yield Coverage(name, "not covered", detail)
