"""Figures of runs side by side: nothing measured is not called out of reach."""

from fulcra.protocol.results.changes import FigureEntry
from fulcra.report.changes import _cell, _ends


def entry(value: float | None, low: float | None, n: int) -> FigureEntry:
    words = {"run": "a", "figure": "f", "words": "f", "method": "wilson", "unit": "proportion"}
    return FigureEntry(**words, value=value, low=low, high=None, n=n, level=0.95)


def test_what_no_prompt_measured_is_not_called_out_of_reach() -> None:
    assert _cell(entry(None, None, 0)) == "not measured"
    assert _cell(entry(None, None, 16)) == "not reached (n = 16)"


def test_no_interval_is_one_dash() -> None:
    assert _ends(entry(0.5, None, 16)) == "\N{EN DASH}"
    assert _ends(entry(0.5, 0.25, 16)) == "0.25 to \N{EN DASH}"
