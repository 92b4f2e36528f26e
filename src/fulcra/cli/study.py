"""What every study of one model is given on the command line, as one value."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

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
