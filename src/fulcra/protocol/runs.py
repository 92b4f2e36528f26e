"""One run: what was asked of it, the folder and clock it has, and how its results are written."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.engines.engine import identity, token_identity
from fulcra.models import Model
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.base import AdapterEntry, GgufEntry, ModelEntry, Named, Provenance
from fulcra.protocol.witness.seat import Seat, require_ledger, seat_of
from fulcra.store import RunFolder, digest
from fulcra.types import Behavior

#: Whose run it is, key by key, as manifest.json holds it.
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its manifest (whose it is), the folder it is kept in (None: memory), its clock.

    `seat` is its place in a ledger, where it has one.
    """

    manifest: Manifest
    folder: RunFolder | None
    clock: Clock
    seat: Seat | None = None

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        out: Path | None,
        progress: Progress | Clock | None = None,
        ledger: Path | None = None,
    ) -> "Run":
        """A new run, or the interrupted one of the same manifest in `out`, to be gone on with.

        RunFolderError where `ledger` was changed since the run was entered in it.
        """
        require_ledger(ledger, out)
        folder = None if out is None else RunFolder.open(out, dict(manifest))
        clock = progress if isinstance(progress, Clock) else Clock(progress or Silent())
        if folder is not None and not folder.finished:
            clock.incidents.keep(folder.incidents)
        return cls(manifest, folder, clock, seat_of(folder, ledger))

    def entered(self, sha256: str) -> AbstractContextManager[None]:
        """A block of dosed rollouts, before which the commitment stands in the run's ledger."""
        return nullcontext() if self.seat is None else self.seat.entered(self.manifest, sha256)

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
) -> Manifest:
    """Whose run it is: command, model, behavior, sizes and code; an engine of its own tokens."""
    engine = token_identity(model)
    return {
        "command": command,
        **more,
        **({"engine": engine} if engine else {}),
        "model": model.name,
        "model_sha256": model.sha256,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "settings": dict(settings),
        "code": code_version(),
    }


def provenance_of(model: Model, **more: Any) -> Provenance:
    """The provenance of what is made now, of rollouts that the model's engine ran."""
    return Provenance.now(**more, engine=identity(model))


def model_entry(model: Model) -> ModelEntry:
    """The model of a result: name, hash of its weights, shape, dtype."""
    gguf, row = gguf_entry(model), model.inferred
    more: dict[str, Any] = {} if gguf is None else {"gguf": gguf}
    if (adapter := adapter_entry(model)) is not None:
        more["adapter"] = adapter
    if row is not None:
        more["inferred_row"] = row
    return ModelEntry(
        name=model.name,
        sha256=model.sha256,
        family=model.hf.config.model_type,
        layers=model.n_layers,
        d_model=model.d_model,
        d_mlp=model.d_mlp,
        parameters=sum(weight.numel() for weight in model.hf.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        **more,
    )


def gguf_entry(model: Model) -> GgufEntry | None:
    """The GGUF file that the model's weights were de-quantized from, None for all others."""
    if (source := model.gguf) is None:
        return None
    return GgufEntry(
        quantization=source.quantization,
        tensors=dict(source.kinds),
        tokenizer=source.tokenizer,
        activations="those of the de-quantized weights",
    )


def named(behavior: Behavior) -> Named:
    """The behavior of a result, by its name and the hash of its prompts."""
    return Named(name=behavior.name, sha256=behavior_sha256(behavior))


def adapter_entry(model: Model) -> AdapterEntry | None:
    """The adapter that was merged into the model's weights, None where none was."""
    if (source := model.adapter) is None:
        return None
    return AdapterEntry(
        sha256=source.adapter.sha256,
        rank=source.adapter.rank,
        base=source.base_name,
        base_sha256=source.base_sha256,
    )
