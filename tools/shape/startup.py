"""How long a user waits before anything begins: CPU seconds of child processes."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

IMPORT = ("-c", "import fulcra")
HELP = ("-m", "fulcra.cli", "--help")


def cpu_seconds(arguments: tuple[str, ...], path: Path, runs: int) -> float:
    """The median of user and system seconds of so many Pythons, started with a path of modules."""
    return statistics.median(_seconds(arguments, path) for _ in range(runs))


def _seconds(arguments: tuple[str, ...], path: Path) -> float:
    before = _children()
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-W", "ignore", *arguments]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
