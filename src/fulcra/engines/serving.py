"""A dosed model behind an OpenAI-compatible address of this machine: transformers' own server."""

import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING

from fulcra.engines.dosed import Proof, dosed
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.library import quiet_library
from fulcra.types import Edits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: Nothing outside this machine reaches the server.
HOST = "127.0.0.1"
#: Seconds that a reply may still take when the server is told to stop.
PATIENCE = 2
NEEDED = ("fastapi", "uvicorn", "openai")


def served_name(model: str, recipe: str) -> str:
    """The name under which clients see a dosed model, free of blanks, commas and colons."""
    plain = (re.sub(r"[^/\w.+-]+", "-", words).strip("-") for words in (model, recipe))
    return "+".join(plain)


def require_server() -> None:
    """InputError unless the packages of the extra `serve` are there."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(
            f"serve: needs {', '.join(missing)}, which is not installed; pip install"
            " 'fulcra[serve]'"
        )


@contextmanager
def bound(port: int, host: str = HOST, command: str = "serve") -> Iterator[socket.socket]:
    """A block with a port of this machine that does not listen yet, a free one for port 0."""
    with socket.socket() as entry:
        entry.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with taking(port, host, command):
            entry.bind((host, port))
        yield entry


@contextmanager
def taking(port: int, host: str = HOST, command: str = "serve") -> Iterator[None]:
    """A span in which a port that cannot be taken is an InputError.

    Two may bind one port that nobody listens at yet: the second is refused when it listens.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{command}: port {port} of {host} cannot be taken ({error.strerror}); give another"
            " --port, or 0 for a free one"
        ) from None


def serve(
    model: Model,
    edits: Edits,
    name: str,
    entry: socket.socket,
    ready: Callable[[str, Proof], None],
) -> None:
    """Answer requests to a dosed model, one after another, until KeyboardInterrupt ends it.

    The port listens once the edits are proved to act (ModelCheckError where they do not); `ready`
    is then told the address and the proof.
    """
    from fulcra.engines.serving_app import app

    with quiet_library(), dosed(model, edits) as (dosed_model, proof):
        answer(app(dosed_model, name, HOST), entry, lambda url: ready(f"{url}/v1", proof))


def answer(
    app: "ASGIApp",
    entry: socket.socket,
    ready: Callable[[str], None],
    host: str = HOST,
    command: str = "serve",
) -> None:
    """Listen at a bound port and answer there until a signal ends it, as KeyboardInterrupt does.

    `ready` is told the address once the port listens and the server heeds signals.
    """
    import uvicorn

    config = uvicorn.Config(
        app, log_level="error", access_log=False, timeout_graceful_shutdown=PATIENCE
    )
    server = uvicorn.Server(config)
    port: int = entry.getsockname()[1]
    with taking(port, host, command):
        entry.listen()
    # an exception that a signal raised while the loop begins would be lost or leave a warning
    with server.capture_signals(), _hangup(server.handle_exit):
        ready(f"http://{host}:{port}")
        server.run(sockets=[entry])
    # a signal ended it; uvicorn heeds also those that this process was started to ignore
    raise KeyboardInterrupt


@contextmanager
def _hangup(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A block in which `handler` takes SIGHUP too, which uvicorn leaves to others."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
