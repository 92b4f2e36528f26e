"""Progress where no terminal is: a line a minute, with the rate and what is left."""

import time

import pytest

from fulcra.cli import bars as module
from fulcra.cli.bars import Lines, Share, bars


def test_what_is_done_counts_by_the_expected_seconds_of_its_step() -> None:
    share = Share({"screen": 30.0, "rollouts": 90.0})
    share.begin("screen", 10)
    share.advance(5)
    assert share.seconds == 15.0
    share.begin("rollouts", 100)
    share.advance(50)
    assert share.seconds == 75.0
    share.advance(500)
    assert share.seconds == 120.0


def test_a_step_without_a_count_or_an_expectation_counts_when_it_is_over() -> None:
    share = Share({"ground": 4.0})
    share.begin("ground", 0)
    assert share.seconds == 0.0
    share.begin("other", 0)
    assert share.seconds == 4.0


def test_a_line_names_the_step_its_rate_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = Lines(lambda text: None, {"screen": 60.0, "rollouts": 180.0})
    lines.begin("screen", 1000)
    lines.advance(500)
    now[0] += 60
    assert lines.line() == "1 min · screen · 500 of 1,000, 8.33 a second · about 7 min left"
    lines.close()


def test_lines_are_written_on_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    with bars(hidden=False) as progress:
        progress.begin("pins", 0)
        time.sleep(0.2)
    assert "min · pins\n" in capsys.readouterr().err
    with bars(hidden=True) as progress:
        progress.begin("pins", 0)
        time.sleep(0.05)
    assert capsys.readouterr().err == ""
