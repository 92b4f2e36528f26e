"""A user's behavior read from its YAML file, or one line that says what is wrong with the file."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from fulcra.behaviors.faults import SEE, behavior_fault
from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.schema import (
    SIZES,
    BehaviorFile,
    PromptEntry,
    Prompts,
    PromptSet,
    SetSlice,
    Source,
)
from fulcra.behaviors.sets import deal_sets, deal_source
from fulcra.behaviors.splits import N_GENERIC, checked
from fulcra.documents import (
    JSON_BYTES,
    DocumentError,
    read_json,
    read_text,
    read_yaml_file,
)
from fulcra.errors import BehaviorError
from fulcra.types import REFUSAL_LABELS, Behavior, Prompt

#: Characters of a topic.
TOPIC = 200
Entries = Sequence[str | PromptEntry]


def read_behavior(path: Path, topic: str | None = None) -> Behavior:
    """The checked behavior of a YAML file; `topic` goes before the file's own."""
    loaded = _yaml(path)
    _require_short(path, loaded.get("topic"))
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


def _require_short(path: Path, topic: object) -> None:
    """BehaviorError where a topic is long: it is written into every text."""
    if isinstance(topic, str) and len(topic) > TOPIC:
        raise BehaviorError(
            f"behavior file {path}: topic has {len(topic):,} characters, at most {TOPIC} are read;"
            " shorten it"
        )


def _filled(value: object, topic: object) -> object:
    """The content of a file with {topic} filled in, in every text."""
    if isinstance(value, dict):
        return {
            key: topic if key == "topic" else _filled(item, topic) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_filled(item, topic) for item in value]
    if isinstance(value, str) and isinstance(topic, str):
        return value.replace("{topic}", topic)
    return value


def _text(path: Path, limit: int = JSON_BYTES) -> str:
    try:
        return read_text(path, limit)
    except DocumentError as error:
        raise BehaviorError(f"behavior file {path}: {error}") from None
    except OSError as error:
        raise BehaviorError(
            f"behavior file {path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BehaviorError(
            f"behavior file {path}: not UTF-8 at byte {error.start}; save it as UTF-8 text"
        ) from None


def _yaml(path: Path) -> dict[object, object]:
    try:
        loaded = read_yaml_file(path)
    except DocumentError as error:
        raise BehaviorError(f"behavior file {path}: {error}") from None
    if not isinstance(loaded, dict):
        kind = "nothing" if loaded is None else type(loaded).__name__
        raise BehaviorError(f"behavior file {path}: expected keys and values, found {kind}; {SEE}")
    return loaded


def _validated(path: Path, loaded: object) -> BehaviorFile:
    try:
        return BehaviorFile.model_validate(loaded)
    except ValidationError as error:
        raise BehaviorError(f"behavior file {path}: {behavior_fault(error)}") from None


def _entries(path: Path, written: BehaviorFile) -> dict[PromptSet, Entries]:
    """The entries of all prompt sets, from lists, files, public sets and the source."""
    entries: dict[PromptSet, Entries] = {}
    slices: dict[PromptSet, SetSlice] = {}
    absent: list[PromptSet] = []
    for name in SIZES:
        prompts = cast(Prompts | None, getattr(written, name))
        if prompts is None:
            absent.append(name)
        elif isinstance(prompts, SetSlice):
            slices[name] = prompts
        else:
            entries[name] = _beside(path, prompts) if isinstance(prompts, str) else prompts
    if slices:
        entries |= _own_openings(deal_sets(slices), written)
    if absent and written.source is None:
        raise BehaviorError(
            f"behavior file {path}: the key {absent[0]!r} is missing; add it, or a source to take"
            " it from"
        )
    if absent and written.source is not None:
        entries |= deal_source(written.source, absent)
    return entries


def _own_openings(
    sets: dict[PromptSet, tuple[PromptEntry, ...]], written: BehaviorFile
) -> dict[PromptSet, Entries]:
    """Entries of public sets, with the openings of this file where it has some."""
    if not written.target_openings:
        return dict(sets)
    return {
        name: tuple(entry.model_copy(update={"target_openings": None}) for entry in entries)
        for name, entries in sets.items()
    }


def _beside(path: Path, name: str) -> Entries:
    """The prompts of a .jsonl or .csv file in the folder of the behavior file."""
    file = path.parent / name
    if file.suffix not in (".jsonl", ".csv"):
        raise BehaviorError(
            f"behavior file {path}: {name!r} is no list of prompts and no .jsonl or .csv file;"
            " write a list or name such a file"
        )
    return entries_of(file)


def entries_of(path: Path) -> Entries:
    """The prompts of a .jsonl or .csv file."""
    lines = [line for line in _text(path).splitlines() if line.strip()]
    try:
        rows = _json_rows(lines) if path.suffix == ".jsonl" else _csv_rows(lines)
        return tuple(
            row if isinstance(row, str) else PromptEntry.model_validate(row) for row in rows
        )
    except ValidationError as error:
        raise BehaviorError(f"prompt file {path}: {behavior_fault(error)}") from None
    except (ValueError, csv.Error) as error:
        raise BehaviorError(
            f"prompt file {path}: a line cannot be read ({error}); write one prompt a line, as"
            " string or mapping"
        ) from None


def _json_rows(lines: Sequence[str]) -> list[object]:
    return [read_json(line) for line in lines]


def _csv_rows(lines: Sequence[str]) -> list[object]:
    return [_row(row) for row in csv.DictReader(lines, restkey="beyond the header")]


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
