"""Columns of a dataset on the Hugging Face hub; the only file that knows `datasets`."""

import os
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from fulcra.errors import BehaviorError

#: How long a hub may take to accept a connection [s].
REACH = 3.0


class DatasetSplit(NamedTuple):
    """One split of a dataset, by hub id or folder: what its columns hold, and which rows belong."""

    dataset: str
    revision: str | None
    config: str | None
    split: str
    columns: Mapping[str, str]
    where: Mapping[str, str]


def read_columns(part: DatasetSplit) -> dict[str, list[object]]:
    """The columns that the split names, whole.

    BehaviorError in one line, at once, where the package, the network or the split is missing.
    """
    try:
        datasets = import_module("datasets")
    except ImportError:
        raise BehaviorError(
            f"source {part.dataset!r}: needs the package datasets, found none; pip install"
            " datasets, or list prompts"
        ) from None
    local = Path(part.dataset).exists()
    if not local:
        _require_hub(part.dataset)
    try:
        # The cache of `datasets` takes folders of one layout for the same folder, whatever is in
        # them.
        with TemporaryDirectory() if local else nullcontext() as cache:
            rows = datasets.load_dataset(
                part.dataset, part.config, revision=part.revision, split=part.split, cache_dir=cache
            )
            return {name: list(rows[name]) for name in {*part.columns.values(), *part.where}}
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        place = ", ".join(filter(None, (part.revision, part.config, part.split)))
        raise BehaviorError(
            f"source {part.dataset!r} ({place}): cannot be read ({why}); check its name, split and"
            " columns"
        ) from None


def _require_hub(dataset: str) -> None:
    """BehaviorError where the hub cannot be reached.

    It is not asked behind a proxy, nor where the user says to work offline.
    """
    switches = (os.environ.get(name, "0") for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
    offline = any(switch.upper() in ("1", "ON", "YES", "TRUE") for switch in switches)
    if offline or getproxies():
        return
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=REACH).close()
    except OSError:
        raise BehaviorError(
            f"source {dataset!r}: {parts.hostname} cannot be reached; connect, set HF_HUB_OFFLINE=1"
            " to take what was downloaded before, or FULCRA_SETS to a folder of copies"
        ) from None
