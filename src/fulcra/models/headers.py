"""The tensors of a model folder by name and shape, from the headers of its files alone."""

from math import prod
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import ModelError
from fulcra.models.library import refusing


class StoredTensor(NamedTuple):
    """A tensor of a safetensors file: the file's name, and the shape that its header says."""

    file: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


def stored_tensors(name: str, folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a folder's safetensors files by its name; no weight is read.

    ModelError for a file that is cut off, no safetensors file, or not a file at all.
    """
    from safetensors import safe_open

    stored: dict[str, StoredTensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
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
