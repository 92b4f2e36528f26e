"""What every result shares: frozen values, one JSON form, one way to be written and read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fulcra.errors import RunFolderError, first_fault
from fulcra.protocol.provenance import versions
from fulcra.store import plain, read_json, write_json, write_text


class Value(BaseModel):
    """A part of a result: frozen, its keys in the order of its fields, no other key allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def plain(self) -> dict[str, Any]:
        """The value as JSON holds it: floats with 6 digits, keys that were never set left out."""
        content: dict[str, Any] = plain(self.model_dump(exclude_unset=True))
        return content


class Provenance(Value):
    """Versions and hashes under which a result was made; a kind sets what it depends on.

    `engine` is what ran the rollouts: its name, then its settings.
    """

    fulcra: str
    code: str
    commit: str | None
    torch: str
    transformers: str
    python: str
    generic_sha256: str | None = None
    reference: str | None = None
    coherence: dict[str, int | float] | None = None
    seed: int | None = None
    engine: dict[str, str | int | float | None] | None = None

    @classmethod
    def now(cls, **more: Any) -> Self:
        """The provenance of what is made now."""
        return cls(**versions()._asdict(), **more)


class Timing(Value):
    """What a study took, by step [wall seconds]: the only part that differs between two runs."""

    cpu_seconds: float
    wall_seconds: float
    steps: dict[str, float]


class GgufEntry(Value):
    """The GGUF file that a model's weights were de-quantized from; tensors are counted by type.

    `tokenizer` says where it was: in the file, or in the folder beside it.
    """

    quantization: str
    tensors: dict[str, int]
    tokenizer: Literal["file", "folder"]
    activations: Literal["those of the de-quantized weights"]

    @property
    def line(self) -> str:
        """What the weights and the activations are, in one line."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.tensors.items())
        beside = "; tokenizer from the folder" if self.tokenizer == "folder" else ""
        return f"{self.quantization} GGUF ({kinds}); activations are {self.activations}{beside}"


class AdapterEntry(Value):
    """The adapter that was merged into a model's weights, by its hash and rank, and its base."""

    sha256: str
    rank: int
    base: str
    base_sha256: str

    @property
    def line(self) -> str:
        """What was merged into what, in one line."""
        return f"adapter {self.sha256[:12]} (LoRA, rank {self.rank}) merged into {self.base}"


class ModelShape(Value):
    """A model by its name, the hash of its weights, its shape and dtype."""

    name: str
    sha256: str
    family: str
    layers: int
    d_model: int
    d_mlp: int
    parameters: int
    dtype: str


class ModelEntry(ModelShape):
    """The model of a result.

    Of a model from a GGUF file the hash is the file's, and `gguf` is set; of one
    with an adapter it is of both, and `adapter` is set. `inferred_row` is written only where the
    family has no row of its own.
    """

    gguf: GgufEntry | None = None
    adapter: AdapterEntry | None = None
    inferred_row: str | None = None


class Named(Value):
    """A behavior of a result, by its name and the hash of its prompts."""

    name: str
    sha256: str


def finite(value: float) -> float | None:
    """The value as files hold it: None where it is no number."""
    return value if math.isfinite(value) else None


def fault_line(error: ValidationError) -> str:
    """What is wrong with a file: the place of its first fault, and the fault."""
    fault = first_fault(error)
    message = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {message}" if where else message


class Result(Value):
    """What one study found. Every kind has the fields `schema_version` and `provenance`.

    Both may be missing in files of the first versions, which are still read.
    """

    #: The name under which it is saved in a folder.
    file: ClassVar[str]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """The result of a file's content, its numbers as the file holds them (6 digits)."""
        return cls.model_validate(plain(content))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A saved result, from its folder or its file; RunFolderError where it is none."""
        folder = Path(path)
        path = folder / cls.file if folder.is_dir() else folder
        if not path.is_file():
            kind = cls.file.partition(".")[0]
            place = folder.parent if folder.name == cls.file else folder
            raise RunFolderError(
                f"{place}: no {cls.file}; expected the folder of a finished `fulcra {kind}`"
            )
        try:
            return cls.of(read_json(path))
        except ValidationError as error:
            raise RunFolderError(f"{path}: {fault_line(error)}; expected a saved result") from None

    def json_text(self) -> str:
        """The result in one line of JSON, as `--json` prints it."""
        return json.dumps(self.plain(), allow_nan=False)

    def save(self, folder: str | Path) -> Path:
        """Write the result and its pages into a folder, the result last; returns its path."""
        self.write_pages(Path(folder))
        return self.write(Path(folder))

    def write_pages(self, folder: Path) -> None:
        """Write the pages that are saved beside the result."""
        for name, text in self.pages().items():
            write_text(folder / name, text)

    def write(self, folder: Path) -> Path:
        """Write the result alone; returns its path."""
        write_json(folder / self.file, self.plain())
        return folder / self.file

    def pages(self) -> dict[str, str]:
        """The pages that are saved beside the result, by file name; none unless a kind has some."""
        return {}

    def lines(self) -> tuple[str, ...]:
        """What the result says in at most five short lines."""
        return ()

    def __repr__(self) -> str:
        return "\n".join((f"<{type(self).__name__}>", *self.lines()))

    __str__ = __repr__
