"""Public prompt sets by name (data/sets.yaml): read through `datasets` from the hub or a folder of
copies, dealt without overlap.
"""

import os
import random
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fulcra.behaviors.schema import PromptEntry, PromptSet, SetSlice
from fulcra.behaviors.source import SIZES, read_dataset
from fulcra.errors import BehaviorError

#: A folder with copies of datasets under their hub ids; what is there is not asked of the hub.
COPIES = "FULCRA_SETS"


#: Between the context of a prompt and the prompt itself, as HarmBench puts them together.
CONTEXT = "\n\n---\n\n"


class SetSplit(NamedTuple):
    """One split of a public set: where it is, which column holds what, and which rows belong to
    it.
    """

    dataset: str
    revision: str
    config: str | None
    split: str
    columns: dict[str, str]
    where: dict[str, str]


@cache
def catalogue() -> dict[str, dict[str, SetSplit]]:
    """The known sets by name and split."""
    written = yaml.safe_load(
        (files("fulcra.behaviors") / "data" / "sets.yaml").read_text(encoding="utf-8")
    )
    return {
        name: {
            split: SetSplit(
                entry["dataset"],
                entry["revision"],
                at.get("config", entry.get("config")),
                at["split"],
                at.get("columns", entry["columns"]),
                at.get("where", {}),
            )
            for split, at in entry["splits"].items()
        }
        for name, entry in written.items()
    }


def deal_sets(
    asked: Mapping[PromptSet, SetSlice], taken: Collection[str] = ()
) -> dict[PromptSet, tuple[PromptEntry, ...]]:
    """The entries of each prompt set: those that name one split of one set take its distinct rows
    in turn, so none is dealt twice.

    Prompts that are `taken` are left out. Rows are dealt in an order shuffled by the set's name,
    the same everywhere: some sets are sorted by category.
    """
    queues: dict[tuple[str, str], list[PromptEntry]] = {}
    dealt: dict[PromptSet, tuple[PromptEntry, ...]] = {}
    for name in (name for name in SIZES if name in asked):
        part = asked[name]
        key = part.set, part.split
        if key not in queues:
            queues[key] = [entry for entry in _entries(part) if entry.prompt not in taken]
        count, queue = part.n or SIZES[name], queues[key]
        if len(queue) < count:
            raise BehaviorError(
                f"{name}: {len(queue)} distinct prompts left in {part.set} ({part.split}), {count}"
                " asked; take fewer"
            )
        dealt[name], queues[key] = tuple(queue[:count]), queue[count:]
    return dealt


def _entries(part: SetSlice) -> list[PromptEntry]:
    at = _found(part)
    folder = Path(os.environ.get(COPIES, "")) / at.dataset
    here = bool(os.environ.get(COPIES)) and folder.is_dir()
    wanted = [*at.columns.values(), *at.where]
    revision = None if here else part.revision or at.revision
    rows = read_dataset(
        str(folder) if here else at.dataset, revision, at.split, wanted, at.config, here
    )
    kept = [
        i
        for i in range(len(rows[wanted[0]]))
        if all(_text(rows[column][i]) == value for column, value in at.where.items())
    ]
    first: dict[str, PromptEntry] = {}
    for i in kept:
        entry = _entry({name: _text(rows[column][i]) for name, column in at.columns.items()})
        first.setdefault(entry.prompt, entry)
    entries = [entry for text, entry in first.items() if text]
    random.Random(f"{part.set}-{part.split}").shuffle(entries)
    return entries


def _entry(cells: Mapping[str, str]) -> PromptEntry:
    """The entry of one row; without a prompt an empty one, whatever its context."""
    context, opening = cells.get("context"), cells.get("target_opening")
    prompt = CONTEXT.join(filter(None, (context, cells["prompt"]))) if cells["prompt"] else ""
    return PromptEntry(
        prompt=prompt,
        target_openings=(opening,) if opening else None,
        answer=cells.get("answer") or None,
    )


def _text(cell: Any) -> str:
    """A cell as text, without the space around it; nothing where it is empty."""
    return "" if cell is None else str(cell).strip()


def _found(part: SetSlice) -> SetSplit:
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
    return sets[part.set][part.split]
