"""The tensors of a model folder by name and shape, from the headers of its files alone."""

from math import prod
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from fulcra.documents import read_text
from fulcra.errors import ModelError
from fulcra.models.library import MOST, refusing

#: How a checkpoint is laid out: one file, or shards that an index names.
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class StoredTensor(NamedTuple):
    """A tensor of a safetensors file: the file's name, and the shape that its header says."""

    file: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


class ShardIndex(BaseModel):
    """The part of an index that says which file holds a weight."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    weight_map: dict[str, str]


def weight_files(name: str, folder: Path) -> list[Path]:
    """The safetensors files that the library loads: the whole one, else those of the index.

    They need not be there. ModelError for an index that is none, or leads out of the folder.
    """
    there = sorted(folder.glob("*.safetensors"))
    if folder / WHOLE in there or not (folder / INDEX).is_file():
        return [folder / WHOLE] if folder / WHOLE in there else there
    with refusing(f"model {name!r}: cannot be loaded: its {INDEX} is broken, copy it again"):
        index = ShardIndex.model_validate_json(read_text(folder / INDEX))
    shards = sorted(set(index.weight_map.values()))
    for shard in shards:
        if Path(shard).name != shard:
            raise ModelError(
                f"model {name!r}: cannot be loaded: its {INDEX} names {shard[:MOST]!r}, which is no"
                " file of the folder; give a model folder as it was published"
            )
    return [folder / shard for shard in shards]


def has_weights(name: str, folder: Path) -> bool:
    """Whether every weight file is in the folder; one of the hub may be there in part."""
    files = weight_files(name, folder)
    return bool(files) and all(path.exists() for path in files)


def stored_tensors(name: str, folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a folder's safetensors files by its name; no weight is read.

    ModelError for a file that is cut off, no safetensors file, or not a file at all.
    """
    from safetensors import safe_open

    stored: dict[str, StoredTensor] = {}
    for path in weight_files(name, folder):
        if not path.is_file():
            raise ModelError(
                f"model {name!r}: cannot be loaded: {path.name} is no file; copy the weights again"
            )
        with (
            refusing(f"model {name!r}: cannot be loaded: {path.name} is broken, copy it again"),
            safe_open(path, "pt") as tensors,
        ):
            for key in tensors.keys():  # noqa: SIM118
                stored[key] = StoredTensor(path.name, tuple(tensors.get_slice(key).get_shape()))
    return stored
