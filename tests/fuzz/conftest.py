"""Prints the counts of the fuzzer at the end of a run, and writes them where that was asked."""

import json
import os
from pathlib import Path

import pytest

from tests.fuzz.answers import COUNTS, INPUTS, LONGEST, SLOWEST

#: Where the counts are written, for docs/reliability.md; nowhere unless it is set.
WRITTEN = os.environ.get("FULCRA_FUZZ_COUNTS")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the counts of every kind."""
    for kind, outcomes in COUNTS.items():
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        terminalreporter.write_line(f"fuzz {kind}: {parts}, slowest {SLOWEST[kind]:.2f} s")
    if COUNTS:
        total = sum(outcomes.total() for outcomes in COUNTS.values())
        terminalreporter.write_line(f"fuzz {total} inputs, no traceback, none over {LONGEST:g} s")
    if COUNTS and WRITTEN:
        failed = sum(len(terminalreporter.stats.get(name, ())) for name in ("failed", "error"))
        Path(WRITTEN).write_text(json.dumps(_counts(failed), indent=1) + "\n")


def _counts(failed: int) -> dict[str, object]:
    """What was tried and answered, kind by kind, and how many tests failed."""
    kinds = {
        kind: {
            "accepted": outcomes["accepted"],
            "refused": outcomes["refused"],
            "slowest_cpu_seconds": round(SLOWEST[kind], 2),
        }
        for kind, outcomes in COUNTS.items()
    }
    return {"asked": INPUTS, "limit_seconds": LONGEST, "failed_tests": failed, "kinds": kinds}
