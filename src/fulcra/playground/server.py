"""The page behind a port: what it needs, what it tells nobody, and how it ends."""

import os
import socket
import tempfile
from collections.abc import Callable
from importlib.util import find_spec

from fulcra.engines.serving import answer
from fulcra.errors import InputError
from fulcra.playground.access import Access
from fulcra.playground.desk import Desk
from fulcra.playground.workbench import Choice

COMMAND = "playground"
#: Switches of the libraries by which nothing is told to others, and no second server begins.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def require_gradio() -> None:
    """InputError unless the packages of the extra `ui` are there."""
    if find_spec("gradio") is None:
        raise InputError(
            "playground: needs gradio, which is not installed; pip install 'fulcra[ui]'"
        )


def serve(
    desk: Desk, first: Choice, access: Access, entry: socket.socket, ready: Callable[[str], None]
) -> None:
    """Show the page to whoever `access` lets in, until KeyboardInterrupt ends it.

    `ready` is told the address once the port listens. What the library writes lies in a folder that
    ends with it.
    """
    with tempfile.TemporaryDirectory(prefix="fulcra-playground-") as folder:
        # read when the library is imported
        os.environ.update(QUIET | {"GRADIO_TEMP_DIR": folder})
        from fulcra.playground.app import page_app
        from fulcra.playground.guard import guarded

        answer(guarded(page_app(desk, first), access), entry, ready, access.host, COMMAND)
