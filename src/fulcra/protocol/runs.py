"""One run: what was asked of it, the folder and clock it has, and how its results are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.models import Model
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version, versions
from fulcra.store import RunFolder, digest
from fulcra.types import Behavior

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its manifest (whose it is), the folder it is kept in (None: memory), its clock."""

    manifest: Mapping[str, Any]
    folder: RunFolder | None
    clock: Clock

    @classmethod
    def open(
        cls, manifest: Mapping[str, Any], out: Path | None, progress: Progress | None = None
    ) -> "Run":
        """A new run, or the interrupted one of the same manifest in `out`, to be gone on with."""
        folder = None if out is None else RunFolder.open(out, dict(manifest))
        return cls(manifest, folder, Clock(progress or Silent()))

    @property
    def salt(self) -> str:
        """What the hashes of the run's texts are salted with."""
        return digest(self.manifest)


def manifest_of(
    command: str,
    model: Model,
    behavior: Behavior,
    settings: Mapping[str, Any],
    **more: str,
) -> dict[str, Any]:
    """Whose run it is: command, model, behavior, sizes and code."""
    return {
        "command": command,
        **more,
        "model": model.name,
        "model_sha256": model.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "settings": dict(settings),
        "code": code_version(),
    }


def model_entry(model: Model) -> dict[str, Any]:
    """The model of a result: name, hash of its weights, shape, dtype."""
    return {
        "name": model.name,
        "sha256": model.sha256,
        "family": model.hf.config.model_type,
        "layers": model.n_layers,
        "d_model": model.d_model,
        "d_mlp": model.d_mlp,
        "parameters": sum(p.numel() for p in model.hf.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def behavior_entry(behavior: Behavior, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The behavior of a result, with the hash and sizes of its prompt sets."""
    splits = ("positive", "negative", "selection", "confirmation", "generic", "ceiling_generic")
    return {
        "name": behavior.name,
        "version": behavior.version,
        "sha256": plan["behavior_sha256"],
        "sensitive": behavior.sensitive,
        "horizon": behavior.horizon,
        "horizons": plan["horizons"],
        "flip": behavior.flip,
        "labels": dict(behavior.labels),
        "splits": {name: len(getattr(behavior, name)) for name in splits},
    }


def provenance(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Versions and hashes under which an audit was made."""
    return {
        **versions()._asdict(),
        **{key: plan[key] for key in ("code", "generic_sha256", "reference", "coherence")},
    }
