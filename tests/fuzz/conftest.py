"""Prints the counts of the fuzzer at the end of a run."""

import pytest

from tests.fuzz.answers import COUNTS, LONGEST, SLOWEST


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the counts of every kind."""
    for kind, outcomes in COUNTS.items():
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        terminalreporter.write_line(f"fuzz {kind}: {parts}, slowest {SLOWEST[kind]:.2f} s")
    if COUNTS:
        total = sum(outcomes.total() for outcomes in COUNTS.values())
        terminalreporter.write_line(f"fuzz {total} inputs, no traceback, none over {LONGEST:g} s")
