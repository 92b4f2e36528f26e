"""Programs of the system that sign and stamp: run without a terminal, so that none can ask."""

import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from fulcra.errors import InputError

#: What may make a program ask on a screen.
ASKING = ("SSH_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY")
SECONDS = 60


class Ended(NamedTuple):
    """How a program ended: whether well, its output, and its last line of complaint."""

    well: bool
    out: bytes
    complaint: str


def ended(program: str, arguments: Sequence[str], message: bytes = b"") -> Ended:
    """How a program ended, the message its only input.

    InputError where it is not installed or does not end in a minute.
    """
    quiet = {name: value for name, value in os.environ.items() if name not in ASKING}
    try:
        left = subprocess.run(
            [program, *arguments],
            input=message,
            capture_output=True,
            timeout=SECONDS,
            env={**quiet, "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise InputError(f"{program} is not installed; install it and try again") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{program} did not end well: {error}; try it by hand") from None
    lines = left.stderr.decode(errors="replace").strip().splitlines()
    complaint = lines[-1] if lines else f"exit code {left.returncode}"
    return Ended(not left.returncode, left.stdout, complaint)
