"""A query for an RFC 3161 time stamp, made by openssl; an authority of time answers it."""

from pathlib import Path

from fulcra.disk import write_whole
from fulcra.errors import InputError
from fulcra.protocol.witness.programs import ended
from fulcra.store import COMMITMENT, SEAL

#: Every query that may stand beside a run, and the answer that a user may put beside it.
QUERIES = {SEAL: f"{SEAL}.tsq", COMMITMENT: f"{COMMITMENT}.tsq"}
ANSWERS = tuple(query.replace(".tsq", ".tsr") for query in QUERIES.values())


def write_query(folder: Path, name: str, sha256: str) -> Path:
    """The file of a query beside the file `name` of a run, its message digest the one given.

    No word of the run stands in it. InputError where openssl refuses.
    """
    about = ("-digest", sha256, "-sha256", "-cert")
    left = ended("openssl", ("ts", "-query", *about))
    if not (left.well and left.out):
        raise InputError(f"openssl wrote no query: {left.complaint}; try `openssl ts -query`")
    write_whole(folder / QUERIES[name], left.out)
    return folder / QUERIES[name]
