"""How many inputs of each kind are tried, and what counts as an answer."""

import os
import time
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, settings

from fulcra.errors import InputError

#: Inputs of the whole run; `make fuzz` asks for 50,000.
INPUTS = int(os.environ.get("FULCRA_FUZZ", "2000"))
#: CPU seconds that an answer may take.
LONGEST = 2.0
#: Characters of a line that says what is wrong.
LINE = 1500
COUNTS: dict[str, Counter[str]] = {}
SLOWEST: dict[str, float] = {}


def share(part: float) -> settings:
    """Hypothesis settings for this part of all inputs."""
    return settings(
        max_examples=max(1, round(part * INPUTS)),
        suppress_health_check=list(HealthCheck),
        database=None,
    )


def answer(kind: str, call: Callable[[], object], longest: int = LINE) -> None:
    """Counts one answer: accepted, or refused in one line with exit code 2; anything else fails.

    `longest` is how many characters the line may have. What was slow is asked again, since other
    work on the machine makes anything slow once.
    """
    seconds, (line, code) = _timed(call)
    if seconds >= LONGEST:
        seconds = min(seconds, _timed(call)[0])
    assert (line is None) or (code == 2 and 0 < len(line) <= longest), line
    outcome = "accepted" if line is None else "refused"
    assert seconds < LONGEST, f"{kind}: {seconds:.1f} s"
    COUNTS.setdefault(kind, Counter())[outcome] += 1
    SLOWEST[kind] = max(SLOWEST.get(kind, 0.0), seconds)


def _timed(call: Callable[[], object]) -> tuple[float, tuple[str | None, int]]:
    """Seconds of the processor, and what came of it."""
    start = time.process_time()
    refusal = _refusal(call)
    return time.process_time() - start, refusal


def _refusal(call: Callable[[], object]) -> tuple[str | None, int]:
    """The line and the exit code of a refusal; None and 0 where there was none."""
    try:
        call()
    except InputError as error:
        return " ".join(str(error).split()), error.exit_code
    return None, 0
