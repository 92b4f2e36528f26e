"""Exemplars: where in a text of any size a neuron acts most, on both poles, and at random places
for comparison (paper C).
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from torch import Tensor

from fulcra.behaviors.texts import TextFile, pieces, text_files
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.traces import traces, windows
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.runs import SCHEMA_VERSION, model_entry, versions
from fulcra.report.exemplars import render_exemplars
from fulcra.store import EXEMPLARS, new_folder, plain, write_json, write_rows, write_text
from fulcra.types import Neuron

#: Tokens of one forward pass.
TOKENS = 1 << 13
SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("neuron", "pole")),
        ("rank", pa.int64()),
        ("activation", pa.float64()),
        ("file", pa.string()),
        *((name, pa.int64()) for name in ("window", "position")),
        *((name, pa.string()) for name in ("before", "peak", "after")),
    ]
)


@dataclass(frozen=True, slots=True)
class ExemplarSettings:
    """Snippets a pole, random ones, tokens of context each side, tokens a window (at most the
    model's context), seed.
    """

    top: int = 200
    random: int = 50
    context: int = 20
    window: int = 512
    seed: int = 0


class Snippet(NamedTuple):
    """Where a neuron acts: the token at `position` of a window, and the tokens from `start` on
    around it.
    """

    activation: float
    file: int
    window: int
    position: int
    start: int
    tokens: tuple[int, ...]


@dataclass(slots=True)
class Best:
    """The `count` items with the largest keys of all that were offered, the earlier first among
    equals; nothing else is kept.
    """

    count: int
    heap: list[tuple[float, int, Snippet]] = field(default_factory=list)
    offered: int = 0

    @property
    def floor(self) -> float:
        """An item is kept when its key lies above this."""
        return -np.inf if len(self.heap) < self.count else self.heap[0][0] if self.heap else np.inf

    def offer(self, key: float, item: Snippet) -> None:
        """Keep the item if it is among the best so far."""
        if key > self.floor:
            entry = (key, -self.offered, item)
            (heapq.heappush if len(self.heap) < self.count else heapq.heapreplace)(self.heap, entry)
        self.offered += 1

    def ranked(self) -> list[Snippet]:
        """The kept items, best first."""
        return [item for _, _, item in sorted(self.heap, reverse=True)]


@dataclass(slots=True)
class Collector:
    """What is kept of one neuron while the text goes by: its extremes, a random sample, and running
    sums.
    """

    settings: ExemplarSettings
    top: Best = field(init=False)
    bottom: Best = field(init=False)
    random: Best = field(init=False)
    tokens: int = 0
    positive: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.top, self.bottom, self.random = (
            Best(self.settings.top),
            Best(self.settings.top),
            Best(self.settings.random),
        )

    def add(
        self, file: int, number: int, window: tuple[int, ...], start: int, values: Tensor
    ) -> None:
        """One window with the neuron's activations [pos]; its extremes are each pole's candidate,
        any token the sample's.

        The first position is never read: it is an outlier in every model. nan (not routed) counts
        nowhere.
        """
        seen = values.double().numpy()[1:]
        routed = np.flatnonzero(~np.isnan(seen))
        if not len(routed):
            return
        held = seen[routed]
        self.tokens, self.positive, self.total = (
            self.tokens + len(held),
            self.positive + int((held > 0).sum()),
            self.total + held.sum(),
        )

        def snippet(at: int) -> Snippet:
            begin = max(start, at - self.settings.context)
            return Snippet(
                float(seen[at - 1]),
                file,
                number,
                at,
                begin,
                window[begin : at + self.settings.context + 1],
            )

        for best, sign in ((self.top, 1.0), (self.bottom, -1.0)):
            place = int((sign * held).argmax())
            if (key := sign * float(held[place])) > best.floor:
                best.offer(key, snippet(int(routed[place]) + 1))
        # the largest of independent uniform keys are a uniform sample, whatever the batch and the
        # other neurons
        keys = np.random.default_rng((self.settings.seed, number)).random(len(seen))
        for at in routed[keys[routed] > self.random.floor].tolist():
            self.random.offer(float(keys[at]), snippet(at + 1))

    def summary(self, neuron: Neuron) -> dict[str, Any]:
        """What is known of the neuron beside its snippets."""
        high, low = self.top.ranked()[:1], self.bottom.ranked()[:1]
        return {
            "neuron": neuron.site,
            "tokens": self.tokens,
            "positive": self.positive / self.tokens if self.tokens else None,
            "mean": self.total / self.tokens if self.tokens else None,
            "high": high[0].activation if high else None,
            "low": low[0].activation if low else None,
        }


def exemplars(
    model: Model,
    neurons: Sequence[Neuron],
    paths: Sequence[Path],
    settings: ExemplarSettings = ExemplarSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Top and bottom snippets of each neuron, one a window and pole, and random ones; with `out`,
    its files are written.

    All neurons in one pass over the text, which is never held: memory is that of a batch and the
    kept snippets. Returns the content of exemplars.json and its `rows`, those of exemplars.parquet.
    """
    progress = progress or Silent()
    sites = list(dict.fromkeys(Neuron(n.layer, n.index, 1, n.expert) for n in neurons))
    if not sites:
        raise InputError("exemplars: no neuron was given; name one or more, as in L14.N2207")
    for neuron in sites:
        model.require(neuron)
    files, folder = text_files(paths), None if out is None else new_folder(out)
    collectors = [Collector(settings) for _ in sites]
    progress.begin("reading", sum(file.characters for file in files))
    read = _read(model, sites, files, settings, collectors, progress)
    content = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "command": "exemplars",
            "model": model_entry(model),
            "settings": asdict(settings),
            "texts": [
                {"file": file.path.name, "sha256": file.sha256, "characters": file.characters}
                for file in files
            ],
            "windows": read,
            "neurons": [one.summary(neuron) for one, neuron in zip(collectors, sites, strict=True)],
            "provenance": versions(),
        }
    )
    rows = [
        row
        for one, neuron in zip(collectors, sites, strict=True)
        for row in _rows(model, neuron, one, files)
    ]
    if folder is not None:
        write_rows(folder / f"{EXEMPLARS}.parquet", rows, SCHEMA)
        write_text(folder / f"{EXEMPLARS}.html", render_exemplars(content, rows))
        write_json(folder / f"{EXEMPLARS}.json", content)
    return {**content, "rows": rows}


def _read(
    model: Model,
    neurons: Sequence[Neuron],
    files: Sequence[TextFile],
    settings: ExemplarSettings,
    into: list[Collector],
    bar: Progress,
) -> int:
    """Passes all windows to the collectors, some at a time; how many there were."""
    number, size = 0, min(settings.window, model.context)
    everything = (
        (i, window)
        for i, file in enumerate(files)
        for window in windows(model, _told(file, bar), size)
    )
    while some := list(islice(everything, max(1, TOKENS // size))):
        for (file, window), values in zip(
            some, traces(model, neurons, [window for _, window in some], len(some)), strict=True
        ):
            for one, own in zip(into, values, strict=True):
                one.add(file, number, window, len(model.text_start), own)
            number += 1
    if not number:
        raise InputError(
            f"--text: {model.name} makes no two tokens of the text in {files[0].path}; give more"
            " words"
        )
    return number


def _told(file: TextFile, bar: Progress) -> Iterator[str]:
    for piece in pieces(file):
        yield piece
        bar.advance(len(piece))


def _rows(
    model: Model, neuron: Neuron, found: Collector, files: Sequence[TextFile]
) -> Iterator[dict[str, Any]]:
    for pole, best in (("+", found.top), ("-", found.bottom), ("random", found.random)):
        for rank, one in enumerate(best.ranked(), 1):
            words, at = model.pieces(one.tokens), one.position - one.start
            yield {
                "neuron": neuron.site,
                "pole": pole,
                "rank": rank,
                "activation": one.activation,
                "file": files[one.file].path.name,
                "window": one.window,
                "position": one.position,
                "before": "".join(words[:at]),
                "peak": words[at],
                "after": "".join(words[at + 1 :]),
            }
