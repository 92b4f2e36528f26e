"""Commands in processes of their own, each forked from one that has imported what they need."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

#: What an audit imports: five seconds of a processor, spent once and not by every command.
IMPORTED = (
    "fulcra.cli",
    "fulcra.studies.audit",
    "fulcra.studies.verify",
    "fulcra.engines.local",
    "fulcra.report.page",
    "pyarrow.parquet",
    "transformers.models.llama.modeling_llama",
)
#: The files of standard output and error.
STREAMS = ("out", "err")
MAIN = "from fulcra.cli import main; main()"


class Ended(NamedTuple):
    """How a process ended: its exit code, negative for a signal, and what it wrote."""

    code: int
    out: str
    err: str


class Process:
    """A command in a process of its own: `code`, by default the command line, with arguments."""

    def __init__(
        self,
        arguments: Sequence[str],
        code: str = MAIN,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="fulcra-process-"))
        context = get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        options = (code, tuple(arguments), dict(environment), str(self._place))
        self._process = context.Process(target=_run, args=options, daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self._process.pid is not None and self.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def ended(self, patience: float) -> Ended:
        """How it ended; TimeoutError where it runs for so many seconds more."""
        self._process.join(patience)
        code = self.poll()
        if code is None:
            self.kill()
            raise TimeoutError(f"a command has not ended within {patience:g} s")
        files = (self._place / name for name in STREAMS)
        out, err = (file.read_text() if file.exists() else "" for file in files)
        shutil.rmtree(self._place)
        return Ended(code, out, err)


def _run(code: str, arguments: Sequence[str], environment: Mapping[str, str], place: str) -> None:
    """What the new process does: its streams are files, then `code` runs as with python -c."""
    for number, name in enumerate(STREAMS, 1):
        stream = os.open(f"{place}/{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
