"""Prompt sets taken from a Hugging Face dataset, row after row; the only file that knows `datasets`."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module

from fulcra.behaviors.schema import PromptSet, Source
from fulcra.errors import BehaviorError

SIZES: dict[PromptSet, int] = {"positive": 32, "negative": 32, "selection": 8, "confirmation": 16}


def load_columns(source: Source) -> dict[str, list[object]]:
    """The columns that `source` names, whole."""
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise BehaviorError(
            f"source {source.dataset!r}: needs the package datasets, found none; pip install datasets, or list prompts"
        ) from None
    try:
        rows = datasets.load_dataset(source.dataset, revision=source.revision, split=source.split)
        return {column: list(rows[column]) for column in set(source.columns.values())}
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        where = f"source {source.dataset!r} ({source.revision}, {source.split})"
        raise BehaviorError(f"{where}: cannot be read ({why}); check its name, split and columns") from None


def deal_columns(
    columns: Mapping[PromptSet, str], rows: Mapping[str, Sequence[object]], wanted: Iterable[PromptSet]
) -> dict[PromptSet, tuple[str, ...]]:
    """The wanted prompt sets, each the next distinct texts of its column."""
    texts = {
        column: list(dict.fromkeys(text for text in values if isinstance(text, str) and text.strip())) for column, values in rows.items()
    }
    dealt: dict[PromptSet, tuple[str, ...]] = {}
    for name in wanted:
        if name not in columns:
            raise BehaviorError(f"source columns: no column for {name}, and {name} is not given; name one of {', '.join(sorted(rows))}")
        queue = texts[columns[name]]
        if len(queue) < SIZES[name]:
            found = f"{len(queue)} distinct texts left, {name} needs {SIZES[name]}"
            raise BehaviorError(f"source column {columns[name]!r}: {found}; take a larger split")
        dealt[name], texts[columns[name]] = tuple(queue[: SIZES[name]]), queue[SIZES[name] :]
    return dealt
