"""Folders that hold an adapter (PEFT) are no model: the library would put it on a base it picks."""

from pathlib import Path

from fulcra.errors import ModelError

#: What the library looks for beside a model, and then loads a base from wherever this file says.
ADAPTER = "adapter_config.json"


def require_no_adapter(name: str, folder: Path) -> None:
    """ModelError where a folder holds an adapter."""
    if (folder / ADAPTER).exists():
        raise adapter_refused(name)


def adapter_refused(name: str) -> ModelError:
    """The refusal of a model that is an adapter on another."""
    return ModelError(
        f"model {name!r}: holds {ADAPTER}, an adapter on a model that lies elsewhere; merge them"
        " (merge_and_unload, then save_pretrained) and give the merged folder"
    )
