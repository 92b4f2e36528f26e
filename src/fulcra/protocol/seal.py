"""The seal of a finished run: one root that no file, figure or rollout can change under."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from fulcra.errors import RunFolderError
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.results.seal import Seal, SealedFile
from fulcra.protocol.shards import opened_rollouts
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    COPY,
    MANIFEST,
    RECEIPT,
    REPORT,
    ROLLOUTS,
    SALT,
    SEAL,
    SOURCE,
    TEXTS,
    digest,
    json_bytes,
    read_json,
    write_json,
)

#: Without these and its rollouts a folder holds no finished run.
REQUIRED = (AUDIT, COMMITMENT, MANIFEST)
#: What the owner of a run may keep back: words of a sensitive behavior, and their salt.
OWNERS = (TEXTS, SALT)
#: Every file that a seal covers where it is there, besides the shards.
SEALED = (*REQUIRED, ROLLOUTS, REPORT, SOURCE, COPY, RECEIPT, *OWNERS)
#: First bytes of a hashed leaf and of a hashed pair, so that neither passes for the other.
LEAF, PAIR = b"\x00", b"\x01"


def write_seal(folder: Path, result: AuditResult) -> Seal:
    """The seal of a run whose files all stand but audit.json, written beside them."""
    audit = result.plain()
    shards = [stored.shard for stored in opened_rollouts(folder).shards]
    names = [name for name in SEALED if name != AUDIT] + [shard.file for shard in shards]
    paths = {name: folder / name for name in names}
    files = {name: sealed(path.read_bytes()) for name, path in paths.items() if path.is_file()}
    seal = Seal(
        schema_version=2,
        files={**files, AUDIT: sealed(json_bytes(audit))},
        blocks=block_digests(audit),
        rows=sum(shard.rows for shard in shards),
        shards_root=merkle_root(shard.leaf for shard in shards),
        plotly=plotly_version(),
        root="0" * 64,
    )
    seal = seal.model_copy(update={"root": seal.made_root})
    write_json(folder / SEAL, seal.plain())
    return seal


def read_seal(folder: Path) -> Seal | None:
    """The seal of a run; None where it has none. RunFolderError where it is broken."""
    path = folder / SEAL
    if not path.exists():
        return None
    content = read_json(path)
    if isinstance(content, dict) and content.get("schema_version") == 1:
        raise RunFolderError(
            f"{path}: sealed before rollouts were kept in shards; verify the run with the code that"
            " its manifest names, or audit again"
        )
    try:
        return Seal.model_validate(content)
    except ValidationError as error:
        raise RunFolderError(
            f"{path}: {fault_line(error)}; expected what `fulcra audit` wrote"
        ) from None


def sealed(content: bytes) -> SealedFile:
    """Digest and size of a file's content."""
    return SealedFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def block_digests(audit: Mapping[str, object]) -> dict[str, str]:
    """The digest of every block at the top of audit.json."""
    return {block: digest(content) for block, content in audit.items()}


def merkle_root(leaves: Iterable[bytes]) -> str:
    """The root of the hash tree over leaves in their order, as RFC 6962 builds it.

    A hash without a pair moves up as it is.
    """
    hashes: Sequence[bytes] = [hashlib.sha256(LEAF + leaf).digest() for leaf in leaves]
    while len(hashes) > 1:
        pairs = [hashes[i : i + 2] for i in range(0, len(hashes), 2)]
        hashes = [_paired(pair) for pair in pairs]
    return (hashes[0] if hashes else hashlib.sha256().digest()).hex()


def _paired(pair: Sequence[bytes]) -> bytes:
    if len(pair) == 1:
        return pair[0]
    return hashlib.sha256(PAIR + pair[0] + pair[1]).digest()


def plotly_version() -> str:
    """The release of plotly that is installed: it stands in every report."""
    return version("plotly")
