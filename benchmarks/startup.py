"""How long a user waits before anything begins, beside what loading the model libraries takes."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median

from pairs import Row, median_interval
from setting import Size

PEER = ("-c", "import torch, transformers; transformers.AutoModelForCausalLM")
STARTS = {"startup_import": ("-c", "import fulcra"), "startup_help": ("-m", "fulcra.cli", "--help")}


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> Iterator[Row]:
    """One row a way to start: CPU seconds of child processes, ours and the peer's in turn."""
    for name, arguments in STARTS.items():
        if wanted(name):
            yield _row(name, arguments, rounds)


def _row(name: str, arguments: tuple[str, ...], rounds: int) -> Row:
    _cpu_seconds(arguments), _cpu_seconds(PEER)  # a warm disk
    ours, peers, again = [], [], []
    for _ in range(rounds):
        peers.append(_cpu_seconds(PEER))
        ours.append(_cpu_seconds(arguments))
        again.append(_cpu_seconds(PEER))
    ratios = [peer / mine for peer, mine in zip(peers, ours, strict=True)]
    null = [first / second for first, second in zip(peers, again, strict=True)]
    return Row(
        name,
        median(ours),
        "import torch, transformers",
        median(peers),
        median(ratios),
        1 / median(ratios),
        *median_interval(ratios),
        *median_interval(null),
        None,
    )


def _cpu_seconds(arguments: tuple[str, ...]) -> float:
    """User and system seconds of one Python from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-W", "ignore", *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
