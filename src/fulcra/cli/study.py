"""What every study of one model is given on the command line, as one value."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, get_type_hints

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    Seed,
    TrustRemoteCode,
    emit,
    opened,
)
from fulcra.cli.bars import bars

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fulcra.models import Model
    from fulcra.protocol.progress import Progress
    from fulcra.protocol.results.base import Result


class Study(NamedTuple):
    """The model of a study, how it is loaded, its seed, and how its result is shown."""

    model: ModelName
    seed: Seed = 0
    dtype: Dtype = None
    device: Device = "cpu"
    trust_remote_code: TrustRemoteCode = False
    as_json: Json = False
    quiet: Quiet = False

    @contextmanager
    def opened(self) -> "Iterator[tuple[Model, Progress]]":
        """The loaded model, and the bars of a study that runs inside the block."""
        with bars(self.quiet or self.as_json) as progress:
            yield opened(self.model, self.dtype, self.device, self.trust_remote_code), progress

    def emit(self, result: "Result", *shown: "Callable[[], RenderableType]") -> None:
        """The result on standard output."""
        emit(result, self.as_json, self.quiet, *shown)


def on_one_model(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every field of the `study` it is given; its own stand first.

    typer reads options from the signature, which is written here.
    """
    hints = get_type_hints(Study, include_extras=True)
    fields = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=Study._field_defaults.get(name, inspect.Parameter.empty),
            annotation=hints[name],
        )
        for name in Study._fields
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "study"
    ]

    def run(**options: object) -> None:
        fields_of = {name: options.pop(name) for name in Study._fields}
        command(study=Study(**fields_of), **options)  # type: ignore[arg-type]

    parameters = [*fields[:1], *own, *fields[1:]]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run
