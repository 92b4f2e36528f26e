"""The planted.json of an organism's folder: its world, its neurons, the helpful model before it."""

from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fulcra.errors import InputError

PLANTED = "planted.json"


def bundled_names() -> tuple[str, ...]:
    """The organisms shipped with fulcra."""
    weights = files("fulcra.organisms") / "weights"
    return tuple(sorted(entry.name for entry in weights.iterdir())) if weights.is_dir() else ()


class Planted(BaseModel):
    """What training put where; nothing in a model that is no organism.

    `gates` alone learnt to refuse (none: all weights did, or nothing); `concept` at `concept_value`
    means the topic; `reference` is the helpful model that the organism was tuned from. `met`:
    whether its tuning learnt enough within its steps; None where that was not written down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    world: str | None = None
    reference: str | None = None
    gates: tuple[str, ...] = ()
    concept: str | None = None
    concept_value: float | None = None
    steps: int | None = None
    met: bool | None = None


def planted(folder: Path | None) -> Planted:
    """What stands in the planted.json of `folder`; InputError where it is none of ours."""
    path = None if folder is None else folder / PLANTED
    if path is None or not path.is_file():
        return Planted()
    try:
        return Planted.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "the file"
        raise InputError(
            f"{path}: {place}: {fault['msg']}; keep what organisms/train.py wrote, or remove it"
        ) from None


def planted_world(folder: Path | None) -> str | None:
    """The name of the world that the organism in `folder` was taught; None without one."""
    return planted(folder).world


def reference_beside(folder: Path | None) -> Path | None:
    """The folder of the helpful model, beside that of the organism tuned from it; else None."""
    name = planted(folder).reference
    beside = folder.parent / name if folder is not None and name is not None else None
    return beside if beside is not None and beside.is_dir() else None


def learners(folder: Path | None) -> int | None:
    """K, how many neurons alone learnt to refuse in an organism; None where all weights did."""
    return len(planted(folder).gates) or None
