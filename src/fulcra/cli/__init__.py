"""The command line: arguments to a study, progress and tables; every refusal is one line."""

import os
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

# each import adds its commands
from fulcra.cli import (  # noqa: F401
    audit,
    behavior,
    card,
    ceilings,
    census,
    chances,
    circuit,
    compare,
    contexts,
    detect,
    effects,
    exemplars,
    export,
    gate,
    harden,
    interventions,
    judge,
    ladders,
    mend,
    models,
    monitor,
    multiply,
    plan,
    playground,
    recipe,
    recipes,
    registered,
    replicate,
    report,
    screens,
    serve,
    sign,
    steer,
    validate,
    verify,
    window,
)
from fulcra.cli.app import app
from fulcra.cli.signals import goes_on, stopping
from fulcra.errors import FulcraError

INTERRUPTED = 130


def main() -> None:
    """Run the command line; a refusal is one line on stderr and its exit code, Ctrl-C is 130.

    SIGTERM is 143 and SIGHUP 129, with the same line.
    """
    if hasattr(os, "sched_getaffinity"):
        # read by torch when it is imported: as many threads as this process may run on
        os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    # how long a thread spins before it sleeps: beside other work the default costs five times the
    # time, and this loses a few percent on a machine of one's own
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    with stopping() as stop:
        code = _run()
    if code == INTERRUPTED:
        _leave(stop.line, stop.exit_code)
    sys.exit(code)


def _run() -> int:
    """The exit code of the command that was asked for; a refusal leaves at once, in one line."""
    try:
        code = int(app(prog_name="fulcra", standalone_mode=False) or 0)
        sys.stdout.flush()
    except FulcraError as error:
        _leave(f"fulcra: {error}", error.exit_code)
    except TyperException as error:
        _leave(_usage(error), 2)
    except OSError as error:
        place = error.filename or "the output"
        _leave(
            f"fulcra: {place}: {error.strerror or error}; check the path, its permissions and the"
            " space left",
            2,
        )
    except (MemoryError, RuntimeError) as error:
        if not _ran_out_of_memory(error):
            raise
        _leave(
            "fulcra: memory ran out outside of the rollouts, which would have been halved; free"
            f" memory, or load a smaller dtype{goes_on()}",
            2,
        )
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code


def _ran_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; torch is asked where it is loaded."""
    if isinstance(error, MemoryError) or "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from fulcra.engines.memory import is_out_of_memory

    return is_out_of_memory(error)


def _usage(error: TyperException) -> str:
    """What is wrong with the arguments, in one line; empty where the help itself was printed."""
    message = error.format_message().rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command_path", "fulcra")
    return message and f"fulcra: {message}; see `{command} --help`"


def _leave(line: str, code: int) -> NoReturn:
    if line:
        typer.echo(" ".join(line.split()), err=True)
    sys.exit(code)
