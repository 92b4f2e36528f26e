"""The header of a GGUF file, read within bounds: metadata and tensors by name, no weight."""

import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

from fulcra.errors import ModelError
from fulcra.models.library import refusing

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

MAGIC: Final = b"GGUF"
#: Versions whose counts have 64 bits; the first one had 32 and is no longer written.
VERSIONS = (2, 3)
#: Keys, tensors and entries of all arrays that a header may have. The largest vocabularies with
#: their merges have a million entries.
MOST_KEYS, MOST_TENSORS, MOST_ENTRIES = 65_536, 65_536, 2_000_000
#: Bytes of the longest text, axes of a tensor (as ggml has it), and bytes of an alignment.
LONGEST_TEXT, MOST_AXES, MOST_ALIGNED = 1 << 24, 4, 1 << 20
#: struct formats by the number of a metadata type; texts and lists have the numbers below.
FORMATS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9

Number = int | float | bool
Value = Number | str | tuple[Number, ...] | tuple[str, ...]


class GgufTensor(NamedTuple):
    """A tensor of the file: its shape as torch has it, its type, its place in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: "GGMLQuantizationType"
    start: int
    bytes: int


class GgufHeader(NamedTuple):
    """What a GGUF file says of itself; `values` by the key of the metadata."""

    path: Path
    values: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """The name llama.cpp gives the family."""
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text of the metadata, empty where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> float | None:
        """A number of the metadata, or None."""
        value = self.values.get(key)
        return value if isinstance(value, (int, float)) else None

    def size(self, key: str) -> float | None:
        """A number that the metadata has under the architecture's own name."""
        return self.number(f"{self.architecture}.{key}")

    @property
    def quantization(self) -> str:
        """What the file calls its quantization, like Q4_K_M; else its most frequent type."""
        from gguf import LlamaFileType

        number = self.number("general.file_type")
        names = {kind.value: kind.name for kind in LlamaFileType}
        name = names.get(int(number)) if number is not None else None
        return name.removeprefix("MOSTLY_").removeprefix("ALL_") if name else next(iter(self.kinds))

    @property
    def kinds(self) -> dict[str, int]:
        """How many tensors have each type, most frequent first."""
        return dict(Counter(tensor.kind.name for tensor in self.tensors).most_common())


class _Broken(ValueError):
    """What is wrong with a header, and what to do."""


@final
class _Cursor:
    """A place in a header that is read forwards, never past its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.entries = data, 0, 0

    def numbers(self, form: str, count: int = 1) -> tuple[Number, ...]:
        """The next `count` numbers of one struct format."""
        form = f"<{count}{form}"
        end = self.at + struct.calcsize(form)
        if end > len(self.data):
            raise _Broken("it ends within its header; download it again")
        values = struct.unpack_from(form, self.data, self.at)
        self.at = end
        return values

    def count(self, form: str, what: str, most: int) -> int:
        """The next number, which counts something; refused above `most`."""
        number = int(self.numbers(form)[0])
        if number > most:
            raise _Broken(
                f"its header counts {number} {what}, at most {most} are read; download it again"
            )
        return number

    def text(self) -> str:
        """The next text."""
        start = self.at + 8
        self.at = start + self.count("Q", "bytes of one text", LONGEST_TEXT)
        if self.at > len(self.data):
            raise _Broken("it ends within its header; download it again")
        return self.data[start : self.at].decode()

    def value(self) -> Value:
        """The next value, whatever its type."""
        kind = int(self.numbers("I")[0])
        if kind == TEXT:
            return self.text()
        return self._list() if kind == LIST else self.numbers(_form(kind))[0]

    def _list(self) -> Value:
        kind = int(self.numbers("I")[0])
        count = self.count("Q", "entries of its lists", MOST_ENTRIES - self.entries)
        self.entries += count
        if kind == TEXT:
            return tuple([self.text() for _ in range(count)])
        return self.numbers(_form(kind), count)


def _form(kind: int) -> str:
    if kind not in FORMATS:
        raise _Broken(f"its header has a value of type {kind}, which GGUF does not know")
    return FORMATS[kind]


def read_header(name: str, path: Path) -> GgufHeader:
    """The header of a GGUF file; ModelError where it is none, is cut off, or cannot be meant.

    `name` is what the model was called. Cost: a second for the largest header accepted.
    """
    what = f"model {name!r}: cannot be loaded: {path.name}"
    with refusing(f"{what} is no readable GGUF file"), path.open("rb") as file:
        start = file.read(24)
        if start[:4] != MAGIC:
            raise ModelError(
                f"{what} starts with {start[:4]!r} and is no GGUF file; give a .gguf file, or the"
                " folder of a model"
            )
        if len(start) < 24:
            raise ModelError(f"{what} ends within its header; download it again")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _header(path, _Cursor(data))
            except (_Broken, UnicodeDecodeError) as error:
                raise ModelError(f"{what} is broken: {error}") from None


def _header(path: Path, cursor: _Cursor) -> GgufHeader:
    cursor.at = len(MAGIC)
    version = int(cursor.numbers("I")[0])
    if version not in VERSIONS:
        kind = "written for big-endian machines" if version and not version & 0xFFFF else "old"
        raise _Broken(
            f"version {version} of the format ({kind}), versions {VERSIONS[0]} and {VERSIONS[1]}"
            " are read; convert the model anew"
        )
    tensors = cursor.count("Q", "tensors", MOST_TENSORS)
    keys = cursor.count("Q", "keys", MOST_KEYS)
    values: dict[str, Value] = {}
    for _ in range(keys):
        key = cursor.text()
        if key in values:
            raise _Broken(f"its header has the key {key!r} twice")
        values[key] = cursor.value()
    entries = [_entry(cursor) for _ in range(tensors)]
    return GgufHeader(path, values, _placed(cursor, values, entries))


def _entry(cursor: _Cursor) -> GgufTensor:
    """One tensor of the header; its start is still counted from the first weight."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    name, axes = cursor.text(), cursor.count("I", "axes of one tensor", MOST_AXES)
    shape = tuple(map(int, reversed(cursor.numbers("Q", axes))))
    number, start = int(cursor.numbers("I")[0]), int(cursor.numbers("Q")[0])
    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        raise _Broken(
            f"{name} has the quantization type {number}, which gguf does not know; take another"
            " quantization, such as Q8_0 or Q4_K_M"
        ) from None
    block, size = GGML_QUANT_SIZES[kind]
    if not shape or 0 in shape or shape[-1] % block:
        raise _Broken(f"{name} of type {kind.name} has the shape {shape}; download it again")
    return GgufTensor(name, shape, kind, start, prod(shape) // block * size)


def _placed(
    cursor: _Cursor, values: Mapping[str, Value], entries: list[GgufTensor]
) -> tuple[GgufTensor, ...]:
    """The tensors with their places in the file, all of which it must hold."""
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= MOST_ALIGNED:
        raise _Broken(f"its general.alignment is {alignment!r}; download it again")
    first = -(-cursor.at // alignment) * alignment
    tensors = tuple(entry._replace(start=first + entry.start) for entry in entries)
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise _Broken("its header has one tensor twice; download it again")
    total = first + sum(tensor.bytes for tensor in tensors)
    end = max((tensor.start + tensor.bytes for tensor in tensors), default=0)
    if max(total, end) > len(cursor.data):
        raise _Broken(
            f"it has {len(cursor.data)} bytes, its header describes {max(total, end)}: it was cut"
            " off; download it again"
        )
    return tensors
