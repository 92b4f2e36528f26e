"""Files that a user gives: text, YAML and JSON within bounds, so that a bad one is told at once."""

import json
import re
import stat
from collections import deque
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import final

import yaml

from fulcra.errors import InputError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a PyYAML built without libyaml reads the same, five times slower
    from yaml import SafeLoader  # type: ignore[assignment]

#: Bounds that keep reading under two seconds on one slow core; our own files stay far below.
YAML_BYTES, JSON_BYTES = 1 << 22, 1 << 25
DEPTH = 64
#: Values of a document and characters of its texts, wherever an alias repeats them counted again.
YAML_VALUES, YAML_CHARACTERS, JSON_VALUES = 30_000, 1 << 22, 1_000_000
#: Characters of a YAML text that is parsed a second time to say what is wrong with it.
SHORT = 20_000
#: Characters of a number or a date.
NUMBER = 400
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_OUT_OF_BOUNDS = f"nested deeper than {DEPTH} levels; write it flat"


class DocumentError(InputError):
    """A file is out of bounds; the message says which, without the name of the file."""


def read_text(path: Path, limit: int = JSON_BYTES) -> str:
    """The text of a regular UTF-8 file of at most `limit` bytes.

    OSError, UnicodeDecodeError and DocumentError are the caller's to tell.
    """
    text = read_bytes(path, limit).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit`; OSError or DocumentError."""
    try:
        mode = path.stat().st_mode
    except ValueError:
        raise DocumentError("a path holds no NUL character; check the path") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DocumentError("expected a file, found a pipe or device; save it as a file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DocumentError(f"more than {limit:,} bytes; keep what is needed and split the rest")
    return content


def read_yaml_file(path: Path) -> object:
    """The value of a YAML file; DocumentError says in one line why it cannot be read."""
    try:
        return read_yaml(read_text(path, YAML_BYTES))
    except OSError as error:
        raise DocumentError(f"cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 at byte {error.start}; save it as UTF-8 text") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f" at line {mark.line + 1}"
        why = " ".join(str(problem or error).split())
        raise DocumentError(
            f"not YAML{where} ({why}); check keys, quotes and indentation"
        ) from None


def read_yaml(text: str) -> object:
    """The value of a YAML text, each key written once; yaml.YAMLError or DocumentError."""
    meter = _Meter()
    try:
        for event in yaml.parse(text, Loader=SafeLoader):
            meter.add(event)
    except yaml.YAMLError:
        if len(text) <= SHORT:
            # this parser is slow, but says in words what it expected
            deque(yaml.parse(text, Loader=yaml.SafeLoader), maxlen=0)
        raise
    return yaml.load(text, _Loader)


def read_json(text: str) -> object:
    """The value of a JSON text; json.JSONDecodeError, ValueError or DocumentError."""
    # every value but the first follows a comma or opens a list or mapping
    if sum(text.count(mark) for mark in ",[{") >= JSON_VALUES:
        raise DocumentError(f"more than {JSON_VALUES:,} values; expected a smaller file")
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise DocumentError(_OUT_OF_BOUNDS) from None
    _require_flat(value)
    if _HALF_CHARACTER.search(text):
        _require_unicode(value)
    return value


def _require_flat(value: object) -> None:
    level = [value]
    for _ in range(DEPTH):
        level = [item for node in level for item in _items(node)]
        if not level:
            return
    raise DocumentError(_OUT_OF_BOUNDS)


def _items(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _require_unicode(value: object) -> None:
    """DocumentError where a text holds half of a character: it could be neither shown nor saved."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DocumentError("a text holds half a character, like \\ud800; mend it") from None


@final
class _Meter:
    """The size of a YAML text while its events pass, before anything is built of them."""

    def __init__(self) -> None:
        self.values = self.characters = 0
        self.begun: list[tuple[str | None, int, int]] = []
        self.sizes: dict[str, tuple[int, int]] = {}

    def add(self, event: yaml.Event) -> None:
        """Count one event; DocumentError as soon as the text is out of bounds."""
        before = self.values, self.characters
        if isinstance(event, yaml.AliasEvent):
            self._grow(*self._size_of(str(event.anchor)))
        elif isinstance(event, yaml.ScalarEvent):
            self._grow(1, len(event.value))
            self._close(event.anchor, *before)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._grow(1, 0)
            self.begun.append((event.anchor, *before))
            if len(self.begun) > DEPTH:
                raise DocumentError(_OUT_OF_BOUNDS)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(*self.begun.pop())

    def _size_of(self, alias: str) -> tuple[int, int]:
        """What an alias repeats; nothing where it is unknown, which the parser tells."""
        if any(anchor == alias for anchor, _, _ in self.begun):
            raise DocumentError(f"the alias *{alias[:60]} stands inside of what it repeats; cut it")
        return self.sizes.get(alias, (1, 0))

    def _close(self, anchor: str | None, values: int, characters: int) -> None:
        if anchor is not None:
            self.sizes[anchor] = self.values - values, self.characters - characters

    def _grow(self, values: int, characters: int) -> None:
        self.values += values
        self.characters += characters
        if self.values > YAML_VALUES or self.characters > YAML_CHARACTERS:
            raise DocumentError(
                f"more than {YAML_VALUES:,} values or {YAML_CHARACTERS:,} characters with its"
                " aliases written out; keep prompts in .jsonl files"
            )


class _Loader(SafeLoader):
    """Plain YAML in which a key written twice is an error: the first one would be lost."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        """The mapping of a node, each key once."""
        if isinstance(node, yaml.MappingNode):
            _require_once(node)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """The value of a node; a YAML error where its tag promises what it is not."""
        tag = node.tag.rpartition(":")[2]
        if tag in ("int", "float", "timestamp") and len(node.value) > NUMBER:
            raise _fault(node, f"a number of more than {NUMBER} characters")
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise _fault(node, f"{str(node.value)[:60]!r} is no {tag}") from None


def _require_once(node: yaml.MappingNode) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in keys:
            raise _fault(key, f"the key {key.value[:60]!r} is written twice")
        keys.add(key.value)


def _fault(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
