"""Snippets mark the word alone, whatever spaces its token brings."""

import pytest

from fulcra.protocol.results.exemplars import SnippetRow
from fulcra.report.exemplars import snippets_of


def row(peak: str) -> SnippetRow:
    return SnippetRow(
        neuron="L0.N1",
        pole="+",
        rank=1,
        activation=2.5,
        file="text.txt",
        window=0,
        position=3,
        before="mix the",
        peak=peak,
        after=" now",
    )


@pytest.mark.parametrize(
    ("peak", "shown"),
    [
        (" curse", ("mix the ", "curse", " now")),
        ("curse\n", ("mix the", "curse", "\n now")),
        ("\n\n", ("mix the", "\n\n", " now")),
        ("c", ("mix the", "c", " now")),
    ],
)
def test_the_spaces_of_a_peak_stand_outside_its_mark_and_none_is_lost(
    peak: str, shown: tuple[str, ...]
) -> None:
    (snippet,) = snippets_of([row(peak)], "L0.N1")["largest activations"]
    assert (snippet.before, snippet.peak, snippet.after) == shown
    assert "".join(shown) == f"mix the{peak} now"
