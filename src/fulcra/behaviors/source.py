"""Prompt sets taken from a Hugging Face dataset, row after row; the only file that knows
`datasets`.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import getproxies

from fulcra.behaviors.schema import PromptSet, Source
from fulcra.errors import BehaviorError

SIZES: dict[PromptSet, int] = {"positive": 32, "negative": 32, "selection": 8, "confirmation": 16}


#: How long a hub may take to accept a connection [s].
REACH = 3.0


def load_columns(source: Source) -> dict[str, list[object]]:
    """The columns that `source` names, whole."""
    return read_dataset(
        source.dataset, source.revision, source.split, list(source.columns.values())
    )


def read_dataset(
    dataset: str,
    revision: str | None,
    split: str,
    columns: Sequence[str],
    config: str | None = None,
    local: bool = False,
) -> dict[str, list[object]]:
    """Columns of one split, whole; one line at once where the package, the network or the split is
    missing.
    """
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise BehaviorError(
            f"source {dataset!r}: needs the package datasets, found none; pip install datasets, or"
            " list prompts"
        ) from None
    local = local or Path(dataset).exists()
    if not local:
        _require_hub(dataset)
    try:
        # The cache of `datasets` takes folders of one layout for the same folder, whatever is in
        # them.
        with TemporaryDirectory() if local else nullcontext() as cache:
            rows = datasets.load_dataset(
                dataset, config, revision=revision, split=split, cache_dir=cache
            )
            return {column: list(rows[column]) for column in set(columns)}
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        where = f"source {dataset!r} ({', '.join(filter(None, (revision, config, split)))})"
        raise BehaviorError(
            f"{where}: cannot be read ({why}); check its name, split and columns"
        ) from None


def _require_hub(dataset: str) -> None:
    """BehaviorError where the hub cannot be reached; not asked behind a proxy, nor where the user
    says to work offline.
    """
    offline = any(
        os.environ.get(name, "0").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )
    if offline or getproxies():
        return
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)),
            timeout=REACH,
        ).close()
    except OSError:
        ways = (
            "connect, set HF_HUB_OFFLINE=1 to take what was downloaded before, or FULCRA_SETS to a"
            " folder of copies"
        )
        raise BehaviorError(
            f"source {dataset!r}: {parts.hostname} cannot be reached; {ways}"
        ) from None


def deal_columns(
    columns: Mapping[PromptSet, str],
    rows: Mapping[str, Sequence[object]],
    wanted: Iterable[PromptSet],
) -> dict[PromptSet, tuple[str, ...]]:
    """The wanted prompt sets, each the next distinct texts of its column."""
    texts = {
        column: list(
            dict.fromkeys(text for text in values if isinstance(text, str) and text.strip())
        )
        for column, values in rows.items()
    }
    dealt: dict[PromptSet, tuple[str, ...]] = {}
    for name in wanted:
        if name not in columns:
            raise BehaviorError(
                f"source columns: no column for {name}, and {name} is not given; name one of"
                f" {', '.join(sorted(rows))}"
            )
        queue = texts[columns[name]]
        if len(queue) < SIZES[name]:
            found = f"{len(queue)} distinct texts left, {name} needs {SIZES[name]}"
            raise BehaviorError(f"source column {columns[name]!r}: {found}; take a larger split")
        dealt[name], texts[columns[name]] = tuple(queue[: SIZES[name]]), queue[SIZES[name] :]
    return dealt
