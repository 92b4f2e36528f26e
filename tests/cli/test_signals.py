"""SIGINT, SIGTERM and SIGHUP: one line, their own exit code, and what is ignored stays ignored."""

import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest

from fulcra.cli.app import kept_in
from fulcra.cli.signals import STOPPING, stopping
from fulcra.store import MANIFEST, write_json
from tests.cli.conftest import Call

GOES_ON = "; the same command, with the same --out, goes on where this one stopped"


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
    assert stop.line == f"fulcra: {how}"


def test_only_a_run_that_was_left_goes_on_and_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with stopping() as stop:
        with pytest.raises(KeyboardInterrupt), kept_in(folder, None):
            raise KeyboardInterrupt
        assert (stop.line, capsys.readouterr().err) == ("fulcra: interrupted", "")
        write_json(folder / MANIFEST, {})
        with pytest.raises(KeyboardInterrupt), kept_in(folder, None):
            raise KeyboardInterrupt
        named = f"fulcra: the run so far is in {folder}: give it as --out\n"
        assert (stop.line, capsys.readouterr().err) == (f"fulcra: interrupted{GOES_ON}", named)
        with pytest.raises(KeyboardInterrupt), kept_in(folder, folder):
            raise KeyboardInterrupt
        assert (stop.line, capsys.readouterr().err) == (f"fulcra: interrupted{GOES_ON}", "")
    with stopping() as stop:
        assert stop.line == "fulcra: interrupted"


@pytest.mark.parametrize(
    ("command", "promise"),
    [
        ("research census apothecary-sparse", GOES_ON),
        ("research ceilings apothecary-sparse", GOES_ON),
        ("research chances apothecary-sparse", GOES_ON),
        ("research screens apothecary-sparse", GOES_ON),
        ("window apothecary-sparse L2.N307+", GOES_ON),
        ("monitor fit apothecary-sparse", ""),
        ("card apothecary-sparse L2.N307", ""),
        ("detect apothecary-sparse L2.N307", ""),
        ("research multiply apothecary-sparse", ""),
    ],
)
def test_a_command_that_begins_anew_promises_nothing(
    fulcra: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    promise: str,
) -> None:
    def stopped(*arguments: object, **options: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("fulcra.models.load", stopped)
    if promise:
        write_json(tmp_path / MANIFEST, {})
    left = fulcra(*command.split(), "--out", tmp_path)
    assert (left.code, left.line) == (130, f"fulcra: interrupted{promise}")


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
