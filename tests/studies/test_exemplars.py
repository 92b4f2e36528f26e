"""Exemplars are what a brute-force pass over the text finds, in the memory of the snippets."""

import json
import math
import tracemalloc
from pathlib import Path

import pytest
import torch

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.read_hooks import mlp_inputs
from fulcra.models.tiny import tiny, tiny_tokenizer
from fulcra.protocol.results.exemplars import ExemplarsResult, SnippetRow
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
    line = [f"w{3 + (i * i * 7 + i // 3) % 97}" for i in range(words)]
    path.write_text("\n".join(" ".join(line[i : i + 13]) for i in range(0, words, 13)))
    return path


def brute_force(
    model: Model, text: Path, neuron: Neuron, size: int
) -> list[tuple[float, int, int, tuple[int, ...]]]:
    """(activation, window, position, window's tokens) of every token, all of them stored."""
    ids = model.tokenizer(text.read_text(), add_special_tokens=False)["input_ids"]
    out = []
    for number, begin in enumerate(range(0, len(ids), size - 1)):
        window = (1, *ids[begin : begin + size - 1])
        with torch.no_grad(), mlp_inputs(model, 1) as inputs:
            model.hf(input_ids=torch.tensor([window]), use_cache=False)
        values = inputs[neuron.layer][0, :, neuron.index].tolist()  # type: ignore[call-overload]
        out += [(value, number, at, window) for at, value in enumerate(values) if at]
    return out


def of(rows: tuple[SnippetRow, ...], neuron: Neuron, pole: str) -> list[SnippetRow]:
    return [row for row in rows if row.neuron == neuron.site and row.pole == pole]


@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_the_snippets_are_those_of_a_brute_force_pass(
    model: Model, text: Path, neuron: Neuron
) -> None:
    rows = exemplars(model, NEURONS, [text], SETTINGS).rows
    everything = brute_force(model, text, neuron, SETTINGS.window)
    for pole, sign in (("+", 1), ("-", -1)):
        peaks = {
            w: max((e for e in everything if e[1] == w), key=lambda e: (sign * e[0], -e[2]))
            for w in {e[1] for e in everything}
        }
        best = sorted(peaks.values(), key=lambda e: (-sign * e[0], e[1]))[: SETTINGS.top]
        snippets = of(rows, neuron, pole)
        assert [(row.window, row.position) for row in snippets] == [
            (window, at) for _, window, at, _ in best
        ]
        for row, (value, _, at, window) in zip(snippets, best, strict=True):
            assert row.activation == pytest.approx(value, abs=1e-5)
            words = [model.tokenizer.decode([token]) for token in window]
            assert row.before.split() == words[max(1, at - 3) : at]
            assert row.peak.split() == [words[at]]
            assert row.after.split() == words[at + 1 : at + 4]
    values = {(window, at): value for value, window, at, _ in everything}
    for row in of(rows, neuron, "random"):
        assert row.activation == pytest.approx(values[row.window, row.position], abs=1e-5)


def test_neither_company_nor_batch_changes_a_snippet(
    model: Model, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = exemplars(model, NEURONS, [text], SETTINGS).rows
    monkeypatch.setattr("fulcra.studies.exemplars.TOKENS", 11)
    alone = [row for neuron in NEURONS for row in exemplars(model, [neuron], [text], SETTINGS).rows]
    for row, lone in zip(together, alone, strict=True):
        assert row.activation == pytest.approx(lone.activation, abs=1e-5)
        assert row.model_copy(update={"activation": lone.activation}) == lone


def test_the_random_tokens_are_a_uniform_sample_that_the_seed_decides(
    model: Model, text: Path
) -> None:
    counts = torch.zeros(40)
    for seed in range(60):
        settings = ExemplarSettings(top=0, random=20, window=11, seed=seed)
        rows = exemplars(model, NEURONS[:1], [text], settings).rows
        assert len({(row.window, row.position) for row in rows}) == 20
        for row in rows:
            counts[row.window] += 1
    # 1200 draws of 40 windows: each count has mean 30 and standard deviation about 5.3
    assert (counts - 30).abs().max() < 4 * 5.3
    assert exemplars(model, NEURONS[:1], [text], settings).rows == rows


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
    assert [snippet.window for snippet in best.ranked()] == [6, 1, 3]
    assert Best(0).floor == math.inf


def test_files_hold_what_is_returned_and_the_text_is_escaped(model: Model, tmp_path: Path) -> None:
    text = tmp_path / "<b>.txt"
    text.write_text("w5 w6 <script>alert(1)</script> w7")
    result = exemplars(model, NEURONS[:1], [text], SETTINGS)
    result.save(tmp_path / "out")
    rows = [row.model_dump() for row in result.rows]
    assert read_rows(tmp_path / "out" / "exemplars.parquet") == rows
    assert read_json(tmp_path / "out" / "exemplars.json") == result.plain()
    assert "rows" not in result.plain()
    assert len(json.loads(result.json_text())["rows"]) == len(rows)
    for path in (tmp_path / "out", tmp_path / "out" / "exemplars.json"):
        assert ExemplarsResult.load(path) == result
    assert repr(result).splitlines()[1] == "tiny-llama on <b>.txt: 1 windows"
    page = (tmp_path / "out" / "exemplars.html").read_text()
    assert "<mark>" in page
    assert "&lt;b&gt;.txt" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "//" not in page


def test_what_cannot_be_read_is_refused(model: Model, text: Path, tmp_path: Path) -> None:
    for neurons, paths, message in (
        ([Neuron(9, 0)], [text], "layers 0-2"),
        ([], [text], "no neuron was given"),
        (NEURONS, [text, tmp_path / "none"], "found nothing there"),
    ):
        with pytest.raises(InputError, match=message):
            exemplars(model, neurons, paths, SETTINGS)
