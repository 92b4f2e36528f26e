"""Exemplars are what a brute-force pass over the whole text finds, and take the memory of what they
keep.
"""

import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch

from fulcra.errors import FulcraError, InputError
from fulcra.models import Model
from fulcra.models.read_hooks import mlp_inputs
from fulcra.models.tiny import tiny, tiny_tokenizer
from fulcra.store import read_json, read_rows
from fulcra.studies.exemplars import Best, ExemplarSettings, Snippet, exemplars
from fulcra.types import Neuron

NEURONS = (Neuron(1, 7), Neuron(0, 3, -1), Neuron(1, 2))
SETTINGS = ExemplarSettings(top=5, random=4, context=3, window=11)


@pytest.fixture
def model() -> Model:
    model = tiny("llama")
    model.tokenizer = tiny_tokenizer(adds_bos=True)
    return model


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return written(tmp_path / "text.txt", 400)


def written(path: Path, words: int) -> Path:
    """A text of words that look random and are not."""
    said = [f"w{3 + (i * i * 7 + i // 3) % 97}" for i in range(words)]
    path.write_text("\n".join(" ".join(said[i : i + 13]) for i in range(0, words, 13)))
    return path


def brute_force(
    model: Model, text: Path, neuron: Neuron, size: int
) -> list[tuple[float, int, int, tuple[int, ...]]]:
    """(activation, window, position, window's tokens) of every token, one window at a time, all of
    them stored.
    """
    ids = model.tokenizer(text.read_text(), add_special_tokens=False)["input_ids"]
    out = []
    for number, begin in enumerate(range(0, len(ids), size - 1)):
        window = (1, *ids[begin : begin + size - 1])
        with torch.no_grad(), mlp_inputs(model, 1) as seen:
            model.hf(input_ids=torch.tensor([window]), use_cache=False)
        values = seen[neuron.layer][0, :, neuron.index].tolist()  # type: ignore[call-overload]
        out += [(value, number, at, window) for at, value in enumerate(values) if at]
    return out


def of(rows: list[dict[str, Any]], neuron: Neuron, pole: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["neuron"] == neuron.site and row["pole"] == pole]


@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_the_snippets_are_those_of_a_brute_force_pass(
    model: Model, text: Path, neuron: Neuron
) -> None:
    rows = exemplars(model, NEURONS, [text], SETTINGS)["rows"]
    everything = brute_force(model, text, neuron, SETTINGS.window)
    for pole, sign in (("+", 1), ("-", -1)):
        peaks = {
            w: max((e for e in everything if e[1] == w), key=lambda e: (sign * e[0], -e[2]))
            for w in {e[1] for e in everything}
        }
        best = sorted(peaks.values(), key=lambda e: (-sign * e[0], e[1]))[: SETTINGS.top]
        found = of(rows, neuron, pole)
        assert [(row["window"], row["position"]) for row in found] == [
            (window, at) for _, window, at, _ in best
        ]
        for row, (value, _, at, window) in zip(found, best, strict=True):
            assert row["activation"] == pytest.approx(value, abs=1e-5)
            words = [model.tokenizer.decode([token]) for token in window]
            assert row["before"].split() == words[max(1, at - 3) : at]
            assert row["peak"].split() == [words[at]]
            assert row["after"].split() == words[at + 1 : at + 4]
    values = {(window, at): value for value, window, at, _ in everything}
    for row in of(rows, neuron, "random"):
        assert row["activation"] == pytest.approx(values[row["window"], row["position"]], abs=1e-5)


def test_neither_company_nor_batch_changes_a_snippet(
    model: Model, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = exemplars(model, NEURONS, [text], SETTINGS)["rows"]
    monkeypatch.setattr("fulcra.studies.exemplars.TOKENS", 11)
    alone = [
        row for neuron in NEURONS for row in exemplars(model, [neuron], [text], SETTINGS)["rows"]
    ]
    for one, other in zip(together, alone, strict=True):
        assert one.pop("activation") == pytest.approx(other.pop("activation"), abs=1e-5)
        assert one == other


def test_the_random_tokens_are_a_uniform_sample_that_the_seed_decides(
    model: Model, text: Path
) -> None:
    counts = torch.zeros(40)
    for seed in range(60):
        settings = ExemplarSettings(top=0, random=20, window=11, seed=seed)
        rows = exemplars(model, NEURONS[:1], [text], settings)["rows"]
        assert len({(row["window"], row["position"]) for row in rows}) == 20
        for row in rows:
            counts[row["window"]] += 1
    # 1200 draws of 40 windows: each count has mean 30 and standard deviation about 5.3
    assert (counts - 30).abs().max() < 4 * 5.3
    assert exemplars(model, NEURONS[:1], [text], settings)["rows"] == rows


def test_memory_does_not_grow_with_the_text(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulcra.behaviors.texts.PIECE", 1_000)
    monkeypatch.setattr("fulcra.studies.exemplars.TOKENS", 512)
    peaks, neurons = [], [Neuron(1, index) for index in range(40)]
    for words in (700, 700, 5_600):
        text = written(tmp_path / f"{words}.txt", words)
        tracemalloc.start()
        exemplars(model, neurons, [text], ExemplarSettings(top=2, random=2, context=2, window=128))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # the activations alone would take 4,900 more tokens x 40 neurons x 4 bytes
    assert peaks[2] < peaks[1] + 200_000


def test_best_keeps_the_largest_and_of_equals_the_first() -> None:
    best = Best(3)
    for number, key in enumerate([1.0, 5.0, 3.0, 5.0, 5.0, 2.0, math.inf]):
        best.offer(key, Snippet(key, 0, number, 1, 0, ()))
    assert [one.window for one in best.ranked()] == [6, 1, 3]
    assert Best(0).floor == math.inf


def test_files_hold_what_is_returned_and_the_text_is_escaped(model: Model, tmp_path: Path) -> None:
    text = tmp_path / "<b>.txt"
    text.write_text("w5 w6 <script>alert(1)</script> w7")
    found = exemplars(model, NEURONS[:1], [text], SETTINGS, tmp_path / "out")
    rows = found.pop("rows")
    assert read_rows(tmp_path / "out" / "exemplars.parquet") == rows
    assert read_json(tmp_path / "out" / "exemplars.json") == found
    page = (tmp_path / "out" / "exemplars.html").read_text()
    assert "<mark>" in page
    assert "&lt;b&gt;.txt" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "//" not in page


def test_what_cannot_be_read_is_refused_before_anything_is_written(
    model: Model, text: Path, tmp_path: Path
) -> None:
    for neurons, paths, said in (
        ([Neuron(9, 0)], [text], "layers 0-2"),
        ([], [text], "no neuron was given"),
        (NEURONS, [text, tmp_path / "none"], "found nothing there"),
    ):
        with pytest.raises(InputError, match=said):
            exemplars(model, neurons, paths, SETTINGS, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FulcraError, match="not empty; choose a new one"):
        exemplars(model, NEURONS, [text], SETTINGS, tmp_path)
