"""A user's behavior read from its YAML file, or one line that says which key is wrong and what to
write.
"""

import csv
import json
from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.schema import (
    BehaviorFile,
    Flip,
    FlipRefusal,
    FlipWords,
    PromptEntry,
    Prompts,
    PromptSet,
    SetSlice,
    Source,
)
from fulcra.behaviors.sets import deal_sets
from fulcra.behaviors.source import SIZES, deal_columns, load_columns
from fulcra.behaviors.splits import N_GENERIC, checked
from fulcra.errors import BehaviorError
from fulcra.types import REFUSAL_LABELS, Behavior, Prompt

_SEE = "see `fulcra behavior schema`"
Entries = Sequence[str | PromptEntry]
_MODELS: dict[str, type[BaseModel]] = {
    "flip": Flip,
    "words": FlipWords,
    "refusal": FlipRefusal,
    "SetSlice": SetSlice,
    "source": Source,
    "PromptEntry": PromptEntry,
}
_EXPECTED = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "int_type": "a whole number",
    "bool_type": "true or false",
}


def read_behavior(path: Path, topic: str | None = None) -> Behavior:
    """The checked behavior of a YAML file; `topic` goes before the file's own."""
    loaded = _yaml(path)
    written = _validated(path, _filled(loaded, topic or loaded.get("topic")))
    entries = _entries(path, written)
    generic = OPENINGS if written.generic is None else _openings(path, written.generic)
    prompts = {name: _prompts(name, entries[name], written) for name in SIZES}
    return checked(
        Behavior(
            name=written.name,
            version=written.version,
            system=written.system,
            positive=prompts["positive"],
            negative=prompts["negative"],
            selection=prompts["selection"],
            confirmation=prompts["confirmation"],
            generic=generic[:N_GENERIC],
            ceiling_generic=generic[N_GENERIC:],
            oracle=written.flip.oracle(written.reach),
            flip=written.flip.sentence(written.reach),
            horizon=written.horizon,
            sensitive=(
                "refus" in written.name.lower() if written.sensitive is None else written.sensitive
            ),
            labels=REFUSAL_LABELS if written.flip.refusal else {},
            source=_provenance(written.source),
        )
    )


def _filled(value: Any, topic: object) -> Any:
    """What was written with {topic} filled in, in every text."""
    if isinstance(value, dict):
        return {
            key: topic if key == "topic" else _filled(item, topic) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_filled(item, topic) for item in value]
    return (
        value.replace("{topic}", topic)
        if isinstance(value, str) and isinstance(topic, str)
        else value
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BehaviorError(
            f"behavior file {path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BehaviorError(
            f"behavior file {path}: not UTF-8 at byte {error.start}; save it as UTF-8 text"
        ) from None


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key written twice is an error: the first one would be lost without a
    word.
    """

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        """The mapping of a node."""
        keys = [key.value for key, _ in node.value]
        for i, (key, _) in enumerate(node.value):
            if key.value in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def _yaml(path: Path) -> dict[object, object]:
    try:
        loaded = yaml.load(_text(path), _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = (
            "" if mark is None else f" at line {mark.line + 1} ({getattr(error, 'problem', '')})"
        )
        raise BehaviorError(
            f"behavior file {path}: not YAML{where}; check keys, quotes and indentation"
        ) from None
    if not isinstance(loaded, dict):
        found = "nothing" if loaded is None else type(loaded).__name__
        raise BehaviorError(
            f"behavior file {path}: expected keys and values, found {found}; {_SEE}"
        )
    return loaded


def _validated(path: Path, loaded: dict[object, object]) -> BehaviorFile:
    try:
        return BehaviorFile.model_validate(loaded)
    except ValidationError as error:
        raise BehaviorError(f"behavior file {path}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    """The fault to tell: a misspelt key first, since it is missing under its right name too, else
    the innermost.
    """
    fault = min(
        error.errors(), key=lambda fault: (fault["type"] != "extra_forbidden", -len(fault["loc"]))
    )
    return _fault(fault, _MODELS.get(error.title, BehaviorFile))


def _fault(fault: ErrorDetails, root: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in fault["loc"] if not _is_branch(part))
    if fault["type"] == "extra_forbidden":
        known = list(
            next(
                (
                    _MODELS[str(part)]
                    for part in reversed(fault["loc"][:-1])
                    if str(part) in _MODELS
                ),
                root,
            ).model_fields
        )
        near = get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        return f"unknown key {where!r}; " + (
            f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"the key {where!r} is missing; add it"
    if fault["type"] == "value_error":
        return f"{where} {fault['ctx']['error']}"
    found = (
        "nothing"
        if fault["input"] is None
        else f"{type(fault['input']).__name__} {str(fault['input'])[:60]!r}"
    )
    expected = _EXPECTED.get(fault["type"])
    return (
        f"{where}: expected {expected}, found {found}; {_SEE}"
        if expected
        else f"{where}: {fault['msg']}, found {found}; {_SEE}"
    )


def _is_branch(part: int | str) -> bool:
    """Whether a part of an error's place names a branch of a union and no key of the file."""
    return isinstance(part, str) and (part in ("str", "PromptEntry", "SetSlice") or "[" in part)


def _entries(path: Path, written: BehaviorFile) -> dict[PromptSet, Entries]:
    given = {
        name: value
        for name in SIZES
        if (value := cast(Prompts | None, getattr(written, name))) is not None
    }
    slices = {name: value for name, value in given.items() if isinstance(value, SetSlice)}
    lists = {name: value for name, value in given.items() if not isinstance(value, SetSlice)}
    entries: dict[PromptSet, Entries] = {
        name: _beside(path, value) if isinstance(value, str) else value
        for name, value in lists.items()
    }
    if slices:
        entries |= _own_openings(deal_sets(slices), written)
    absent = [name for name in SIZES if name not in given]
    if absent and written.source is None:
        raise BehaviorError(
            f"behavior file {path}: the key {absent[0]!r} is missing; add it, or a source to take"
            " it from"
        )
    if absent and written.source is not None:
        entries |= deal_columns(written.source.columns, load_columns(written.source), absent)
    return entries


def _own_openings(
    dealt: dict[PromptSet, tuple[PromptEntry, ...]], written: BehaviorFile
) -> dict[PromptSet, Entries]:
    """Entries of public sets, with the openings of this file where it has some."""
    if not written.target_openings:
        return dict(dealt)
    return {
        name: tuple(entry.model_copy(update={"target_openings": None}) for entry in entries)
        for name, entries in dealt.items()
    }


def _beside(path: Path, name: str) -> Entries:
    """The prompts of a .jsonl or .csv file in the folder of the behavior file."""
    other = path.parent / name
    if other.suffix not in (".jsonl", ".csv"):
        raise BehaviorError(
            f"behavior file {path}: {name!r} is no list of prompts and no .jsonl or .csv file;"
            " write a list or name such a file"
        )
    return entries_of(other)


def entries_of(other: Path) -> Entries:
    """The prompts of a .jsonl or .csv file."""
    try:
        lines = [line for line in _text(other).splitlines() if line.strip()]
        rows = (
            [json.loads(line) for line in lines]
            if other.suffix == ".jsonl"
            else [_row(row) for row in csv.DictReader(lines, restkey="beyond the header")]
        )
        return tuple(
            row if isinstance(row, str) else PromptEntry.model_validate(row) for row in rows
        )
    except (json.JSONDecodeError, csv.Error) as error:
        raise BehaviorError(
            f"prompt file {other}: a line cannot be read ({error}); write one prompt a line, as"
            " string or mapping"
        ) from None
    except ValidationError as error:
        raise BehaviorError(f"prompt file {other}: {_first_fault(error)}") from None


def _row(row: dict[str, str]) -> dict[str, object]:
    """A .csv row as a prompt mapping: empty cells are absent, openings stand between bars."""
    return {
        key: tuple(value.split("|")) if key.endswith("_openings") else value
        for key, value in row.items()
        if value
    }


def _openings(path: Path, generic: str | tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(generic, str):
        return generic
    return tuple(
        entry if isinstance(entry, str) else entry.prompt for entry in _beside(path, generic)
    )


def _prompts(name: str, entries: Entries, written: BehaviorFile) -> tuple[Prompt, ...]:
    full = [PromptEntry(prompt=entry) if isinstance(entry, str) else entry for entry in entries]
    return tuple(
        Prompt(
            f"{name}-{i:02d}",
            entry.prompt,
            written.target_openings if entry.target_openings is None else entry.target_openings,
            written.control_openings if entry.control_openings is None else entry.control_openings,
            entry.answer,
        )
        for i, entry in enumerate(full)
    )


def _provenance(source: Source | None) -> dict[str, str]:
    if source is None:
        return {}
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in source.model_dump().items()
    }
