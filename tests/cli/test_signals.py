"""SIGINT, SIGTERM and SIGHUP: one line, their own exit code, and what is ignored stays ignored."""

import os
import signal

import pytest

from fulcra.cli.signals import STOPPING, stopping


@pytest.mark.parametrize(
    ("number", "code", "how"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 129, "stopped by SIGHUP"),
    ],
)
def test_a_signal_ends_the_block_and_says_which_it_was(
    number: signal.Signals, code: int, how: str
) -> None:
    before = {each: signal.signal(each, signal.SIG_DFL) for each in STOPPING}
    try:
        with stopping() as stop, pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert {signal.getsignal(each) for each in STOPPING} == {signal.SIG_DFL}
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert stop.exit_code == code
    assert stop.line == (
        f"fulcra: {how}; the same command, with the same --out, goes on where this one stopped"
    )


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
