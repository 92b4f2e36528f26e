"""What stands in the planted.json of an organism's folder: the world it was taught, the helpful
model it came from.
"""

import json
from pathlib import Path
from typing import Any

PLANTED = "planted.json"


def _planted(folder: Path | None) -> dict[str, Any]:
    path = None if folder is None else folder / PLANTED
    return (
        dict(json.loads(path.read_text(encoding="utf-8")))
        if path is not None and path.is_file()
        else {}
    )


def planted_world(folder: Path | None) -> str | None:
    """The name of the world that the organism in `folder` was taught; None where the folder names
    none.
    """
    return _planted(folder).get("world")


def reference_beside(folder: Path | None) -> Path | None:
    """The folder of the helpful model that the organism in `folder` was tuned from, where it lies
    beside it.
    """
    name = _planted(folder).get("reference")
    beside = folder.parent / name if folder is not None and name is not None else None
    return beside if beside is not None and beside.is_dir() else None


def learners(folder: Path | None) -> int | None:
    """K, how many neurons alone learnt to refuse in a tuned organism; None where all weights
    did.
    """
    return len(_planted(folder).get("gates", ())) or None
