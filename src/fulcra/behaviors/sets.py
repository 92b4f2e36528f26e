"""Prompts of datasets, dealt without overlap: public sets by name (data/sets.yaml), any source."""

import os
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from fulcra.behaviors.hub import DatasetSplit, read_columns
from fulcra.behaviors.schema import SIZES, PromptEntry, PromptSet, SetSlice, Source
from fulcra.errors import BehaviorError

#: A folder with copies of datasets under their hub ids; what is there is not asked of the hub.
COPIES = "FULCRA_SETS"
#: Between the context of a prompt and the prompt itself, as HarmBench puts them together.
CONTEXT = "\n\n---\n\n"


@cache
def catalogue() -> dict[str, dict[str, DatasetSplit]]:
    """The public sets by name and split."""
    source = files("fulcra.behaviors") / "data" / "sets.yaml"
    written = yaml.safe_load(source.read_text(encoding="utf-8"))
    sets: dict[str, dict[str, DatasetSplit]] = {}
    for name, entry in written.items():
        sets[name] = {
            split: DatasetSplit(
                entry["dataset"],
                entry["revision"],
                part.get("config", entry.get("config")),
                part["split"],
                part.get("columns", entry["columns"]),
                part.get("where", {}),
            )
            for split, part in entry["splits"].items()
        }
    return sets


def deal_sets(
    slices: Mapping[PromptSet, SetSlice], excluded: Collection[str] = ()
) -> dict[PromptSet, tuple[PromptEntry, ...]]:
    """The entries of each prompt set; slices of one split take its rows in turn, none twice.

    Prompts that are `excluded` are left out. Rows are dealt in an order shuffled by the set's name,
    the same everywhere: some sets are sorted by category.
    """
    queues: dict[tuple[str, str], list[PromptEntry]] = {}
    prompts: dict[PromptSet, tuple[PromptEntry, ...]] = {}
    for name in (name for name in SIZES if name in slices):
        part = slices[name]
        key, count = (part.set, part.split), part.n or SIZES[name]
        if key not in queues:
            queues[key] = [entry for entry in _entries(part) if entry.prompt not in excluded]
        if len(queues[key]) < count:
            raise BehaviorError(
                f"{name}: {len(queues[key])} distinct prompts left in {part.set} ({part.split}),"
                f" {count} asked; take fewer"
            )
        prompts[name], queues[key] = tuple(queues[key][:count]), queues[key][count:]
    return prompts


def deal_source(source: Source, names: Iterable[PromptSet]) -> dict[PromptSet, tuple[str, ...]]:
    """The prompts of the named sets, from the columns of a dataset of the user's own."""
    columns = {str(name): column for name, column in source.columns.items()}
    part = DatasetSplit(source.dataset, source.revision, None, source.split, columns, {})
    return deal_columns(source.columns, read_columns(part), names)


def deal_columns(
    columns: Mapping[PromptSet, str],
    rows: Mapping[str, Sequence[object]],
    names: Iterable[PromptSet],
) -> dict[PromptSet, tuple[str, ...]]:
    """The prompts of the named sets, each the next distinct texts of its column."""
    queues = {column: _distinct(values) for column, values in rows.items()}
    prompts: dict[PromptSet, tuple[str, ...]] = {}
    for name in names:
        if name not in columns:
            raise BehaviorError(
                f"source columns: no column for {name}, and {name} is not given; name one of"
                f" {', '.join(sorted(rows))}"
            )
        column, count = columns[name], SIZES[name]
        if len(queues[column]) < count:
            raise BehaviorError(
                f"source column {column!r}: {len(queues[column])} distinct texts left, {name} needs"
                f" {count}; take a larger split"
            )
        prompts[name], queues[column] = tuple(queues[column][:count]), queues[column][count:]
    return prompts


def _distinct(values: Sequence[object]) -> list[str]:
    texts = (value for value in values if isinstance(value, str) and value.strip())
    return list(dict.fromkeys(texts))


def _entries(part: SetSlice) -> list[PromptEntry]:
    """The distinct prompts of a slice's split, in the order in which they are dealt."""
    split = _split_of(part)
    rows = read_columns(split)
    entries: dict[str, PromptEntry] = {}
    for i in range(len(rows[split.columns["prompt"]])):
        cells = {column: _text(values[i]) for column, values in rows.items()}
        if any(cells[column] != value for column, value in split.where.items()):
            continue
        entry = _entry({name: cells[column] for name, column in split.columns.items()})
        entries.setdefault(entry.prompt, entry)
    entries.pop("", None)
    order = list(entries.values())
    random.Random(f"{part.set}-{part.split}").shuffle(order)
    return order


def _entry(cells: Mapping[str, str]) -> PromptEntry:
    """The entry of one row; without a prompt an empty one, whatever its context."""
    context, opening = cells.get("context"), cells.get("target_opening")
    prompt = CONTEXT.join(filter(None, (context, cells["prompt"]))) if cells["prompt"] else ""
    return PromptEntry(
        prompt=prompt,
        target_openings=(opening,) if opening else None,
        answer=cells.get("answer") or None,
    )


def _text(cell: object) -> str:
    """A cell as text, without the space around it; nothing where it is empty."""
    return "" if cell is None else str(cell).strip()


def _split_of(part: SetSlice) -> DatasetSplit:
    """Where the slice's rows are: in the folder of copies if they are there, else on the hub."""
    sets = catalogue()
    if part.set not in sets:
        raise BehaviorError(
            f"set {part.set!r}: not known; known are {', '.join(sets)}; for another dataset write a"
            " source"
        )
    if part.split not in sets[part.set]:
        raise BehaviorError(
            f"set {part.set!r}: no split {part.split!r}; it has {', '.join(sets[part.set])}"
        )
    split = sets[part.set][part.split]
    copy = Path(os.environ.get(COPIES, "")) / split.dataset
    if os.environ.get(COPIES) and copy.is_dir():
        return split._replace(dataset=str(copy), revision=None)
    return split._replace(revision=part.revision or split.revision)
