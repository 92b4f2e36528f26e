"""What a run remembers of its model and behavior, and the one door that opens both again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fulcra.behaviors import built_in, load_behavior
from fulcra.errors import InputError, ModelError, RunFolderError
from fulcra.models import Model, load
from fulcra.models.placement import DTYPES
from fulcra.protocol.quotes import audited_behavior
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Value
from fulcra.store import AUDIT, COPY, SOURCE, read_json, write_json, write_text
from fulcra.types import Behavior, Prompt

SCHEMA_VERSION = 1


class ModelSource(Value):
    """How a model was loaded: a bundled name, a folder or a hub id with its commit; where to.

    `trust_remote_code` is written only where the code that came with the model was run. `compiled`
    stands in older runs and says nothing any more (docs/decisions/0022).
    """

    name: str
    revision: str | None
    dtype: str
    device: str
    bits: int | None
    thinking: bool | None
    compiled: bool = False
    trust_remote_code: bool = False


class BehaviorSource(Value):
    """The name of a behavior and, where it is not built in, the file it was read from."""

    name: str
    file: str | None


class RunSource(Value):
    """What source.json holds: where the model and the behavior of a run came from."""

    schema_version: int
    model: ModelSource
    behavior: BehaviorSource


class Sources(NamedTuple):
    """Models, behaviors and a device named by the user, in place of what runs remember.

    A run never makes the code of its model run again: `trust_remote_code` is the user's own word.
    """

    models: tuple[str, ...] = ()
    behaviors: tuple[str, ...] = ()
    device: str | None = None
    trust_remote_code: bool = False


def remember(folder: Path, model: Model, behavior: Behavior) -> None:
    """Write where model and behavior came from into the folder of a run, to open both again.

    The file of a behavior is copied beside it, unless its prompts are sensitive.
    """
    origin, file = model.origin, behavior.source.get("file")
    trusted = {"trust_remote_code": True} if origin.trust_remote_code else {}
    source = RunSource(
        schema_version=SCHEMA_VERSION,
        model=ModelSource(
            name=origin.name,
            revision=origin.revision,
            dtype=str(model.dtype).removeprefix("torch."),
            device=origin.device,
            bits=origin.bits,
            thinking=model.thinking,
            **trusted,
        ),
        behavior=BehaviorSource(name=behavior.name, file=file),
    )
    if file is not None and not behavior.sensitive and Path(file).is_file():
        write_text(folder / COPY, Path(file).read_text(encoding="utf-8"))
    write_json(folder / SOURCE, source.plain())


def reopened_model(folder: Path, sources: Sources = Sources()) -> Model:
    """The model that a finished run measured, in the dtype and on the device it was measured in."""
    audited, source = _audit(folder).model, _remembered(folder)
    names: Sequence[str] = sources.models or [source.model.name if source else audited.name]
    dtype = audited.dtype if audited.dtype in DTYPES else None
    for name in names:
        model = _loaded(folder, name, dtype, source.model if source else None, sources)
        if model.sha256 == audited.sha256:
            return model
    raise InputError(
        f"{folder}: was made of another {audited.name} than {' and '.join(names)} is now; name the"
        f" model with weights {audited.sha256[:12]} with --model, or audit anew"
    )


def _loaded(
    folder: Path, name: str, dtype: str | None, remembered: ModelSource | None, sources: Sources
) -> Model:
    """The model of a name, loaded as the run's was; the revision is that of the remembered name."""
    trusted = sources.trust_remote_code
    if remembered is not None and remembered.trust_remote_code and not trusted:
        raise ModelError(
            f"{folder}: was made with the code that came with {remembered.name}; read that code and"
            " open the run with Sources(trust_remote_code=True) (--trust-remote-code)"
        )
    try:
        if remembered is None:
            return load(name, dtype, sources.device or "cpu", trust_remote_code=trusted)
        return load(
            name,
            dtype,
            sources.device or remembered.device,
            bits=remembered.bits,
            thinking=remembered.thinking,
            revision=remembered.revision if name == remembered.name else None,
            trust_remote_code=trusted,
        )
    except ModelError as error:
        if name in sources.models:
            raise
        raise ModelError(
            f"{folder}: its model cannot be opened again ({error}); name it with --model"
        ) from None


def reopened_behaviors(folders: Sequence[Path], named: Sequence[str] = ()) -> list[Behavior]:
    """The behavior that each run audited, in its own world.

    Of the names or files `named` the one with the run's hash, else the one that the run remembers.
    InputError where none is, or where a name is no run's.
    """
    matches = [_behavior(folder, named) for folder in folders]
    if unused := set(named) - {name for name, _ in matches}:
        runs = ", ".join(map(str, folders))
        raise InputError(
            f"--behavior {min(unused)}: not what {runs} audited; give the audited file, unchanged"
            " since"
        )
    return [behavior for _, behavior in matches]


def extensible_behavior(
    folder: Path, named: Sequence[str] = ()
) -> tuple[Behavior, tuple[Prompt, ...]]:
    """The behavior that a run audited, and the confirmation prompts that stand behind its own.

    Those are beyond the prompts the audit was limited to, in its reserve, or in a longer file
    `named`, which begins with the audited prompts and is else the same. InputError where none is.
    """
    audit = _audit(folder)
    count, world = audit.behavior.splits["confirmation"], audit.behavior.name.partition("@")[2]
    for name in named or _behavior_sources(folder, audit.behavior.name):
        whole = load_behavior(name, world or None)
        first = replace(whole, confirmation=whole.confirmation[:count])
        if (behavior := audited_behavior(audit, first)) is not None:
            return behavior, (*whole.confirmation[count:], *whole.reserve)
    raise InputError(
        f"{folder}: audited another {audit.behavior.name} than {' and '.join(named) or 'is'} known"
        f" here; give the audited file with --behavior, prompts added behind its {count} of"
        " confirmation and nothing else changed"
    )


def _behavior(folder: Path, named: Sequence[str]) -> tuple[str, Behavior]:
    """The behavior that a run audited, and the name or file it was found by."""
    audit = _audit(folder)
    audited = audit.behavior.name
    world = audited.partition("@")[2] or None
    for name in (*named, *_behavior_sources(folder, audited)):
        if (behavior := audited_behavior(audit, load_behavior(name, world))) is not None:
            return name, behavior
    raise InputError(
        f"{folder}: audited another version of {audited} than is known here; give its file"
        " with --behavior, unchanged since"
    )


def _behavior_sources(folder: Path, name: str) -> Iterator[str]:
    """Where a run's behavior may stand: its file, the run's copy if that is gone, a built-in."""
    source = _remembered(folder)
    file = source.behavior.file if source else None
    if file is not None and Path(file).is_file():
        yield file
    elif (folder / COPY).is_file():
        yield str(folder / COPY)
    elif built_in(name):
        yield name


def _audit(folder: Path) -> AuditResult:
    if not (folder / AUDIT).is_file():
        raise RunFolderError(
            f"{folder}: no {AUDIT}; expected the folder of a finished `fulcra audit`"
        )
    return AuditResult.load(folder)


def _remembered(folder: Path) -> RunSource | None:
    """What the run remembers; None in runs of the first versions, which know names alone."""
    if not (folder / SOURCE).is_file():
        return None
    try:
        return RunSource.model_validate(read_json(folder / SOURCE))
    except ValidationError as error:
        fault = error.errors()[0]
        raise RunFolderError(
            f"{folder / SOURCE}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; take the file"
            " out and name --model and --behavior"
        ) from None
