"""Where in a text of any size a neuron acts most, on both poles, and at random places (paper C)."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fulcra.behaviors.texts import TextFile, pieces, text_files
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.traces import traces, windows
from fulcra.protocol.progress import Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.exemplars import (
    ExemplarSize,
    ExemplarsResult,
    NeuronActivity,
    Pole,
    SnippetRow,
    TextEntry,
)
from fulcra.protocol.runs import model_entry
from fulcra.types import Neuron

SCHEMA_VERSION = 1
Floats = NDArray[np.float64]
#: Tokens of one forward pass.
TOKENS = 1 << 13


@dataclass(frozen=True, slots=True)
class ExemplarSettings:
    """Snippets a pole, random ones, tokens of context each side, tokens a window at most, seed."""

    top: int = 200
    random: int = 50
    context: int = 20
    window: int = 512
    seed: int = 0


class Window(NamedTuple):
    """Tokens that the model reads at once; those before `start` are no text (the BOS)."""

    file: int
    number: int
    start: int
    tokens: tuple[int, ...]


class Snippet(NamedTuple):
    """The token at `position` of a window, and the tokens from `start` on around it."""

    activation: float
    file: int
    window: int
    position: int
    start: int
    tokens: tuple[int, ...]


@dataclass(slots=True)
class Best:
    """The `count` items with the largest keys of all that were offered, the first of equals."""

    count: int
    heap: list[tuple[float, int, Snippet]] = field(default_factory=list)
    offered: int = 0

    @property
    def floor(self) -> float:
        """An item stays when its key lies above this."""
        if len(self.heap) < self.count:
            return -np.inf
        return self.heap[0][0] if self.heap else np.inf

    def offer(self, key: float, item: Snippet) -> None:
        """Add the item if it is among the best so far."""
        entry = (key, -self.offered, item)
        if len(self.heap) < self.count:
            heapq.heappush(self.heap, entry)
        elif key > self.floor:
            heapq.heapreplace(self.heap, entry)
        self.offered += 1

    def ranked(self) -> list[Snippet]:
        """The items that stayed, best first."""
        return [item for _, _, item in sorted(self.heap, reverse=True)]


@dataclass(slots=True)
class Collector:
    """One neuron's extremes, random sample and running sums, while the text goes by."""

    settings: ExemplarSettings
    top: Best = field(init=False)
    bottom: Best = field(init=False)
    random: Best = field(init=False)
    tokens: int = 0
    positive: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.top = Best(self.settings.top)
        self.bottom = Best(self.settings.top)
        self.random = Best(self.settings.random)

    def add(self, window: Window, values: Tensor) -> None:
        """One window with the neuron's activations [pos].

        Its extremes are each pole's candidate, any token the sample's. The first position is never
        read: it is an outlier in every model. nan (not routed) counts nowhere.
        """
        activations = values.double().numpy()
        places = np.flatnonzero(~np.isnan(activations[1:])) + 1
        if not len(places):
            return
        routed = activations[places]
        self.tokens += len(routed)
        self.positive += int((routed > 0).sum())
        self.total += float(routed.sum())
        for best, sign in ((self.top, 1.0), (self.bottom, -1.0)):
            extreme = int((sign * routed).argmax())
            if (key := sign * float(routed[extreme])) > best.floor:
                best.offer(key, self._snippet(window, activations, int(places[extreme])))
        # the largest of independent uniform keys are a uniform sample, whatever the batch and the
        # other neurons
        rng = np.random.default_rng((self.settings.seed, window.number))
        keys = np.concatenate([[-np.inf], rng.random(len(activations) - 1)])
        for place in places[keys[places] > self.random.floor].tolist():
            self.random.offer(float(keys[place]), self._snippet(window, activations, place))

    def _snippet(self, window: Window, activations: Floats, position: int) -> Snippet:
        """The token at `position`, with its context."""
        start = max(window.start, position - self.settings.context)
        tokens = window.tokens[start : position + self.settings.context + 1]
        value = float(activations[position])
        return Snippet(value, window.file, window.number, position, start, tokens)

    def summary(self, neuron: Neuron) -> NeuronActivity:
        """The neuron over all tokens."""
        high, low = self.top.ranked()[:1], self.bottom.ranked()[:1]
        return NeuronActivity(
            neuron=neuron.site,
            tokens=self.tokens,
            positive=self.positive / self.tokens if self.tokens else None,
            mean=self.total / self.tokens if self.tokens else None,
            high=high[0].activation if high else None,
            low=low[0].activation if low else None,
        )


def exemplars(
    model: Model,
    neurons: Sequence[Neuron],
    paths: Sequence[Path],
    settings: ExemplarSettings = ExemplarSettings(),
    progress: Progress | None = None,
) -> ExemplarsResult:
    """Top and bottom snippets of each neuron, one a window and pole, and random ones.

    All neurons in one pass over the text, which is never held: memory is that of a batch and the
    snippets.
    """
    bar = progress or Silent()
    sites = list(dict.fromkeys(Neuron(n.layer, n.index, 1, n.expert) for n in neurons))
    if not sites:
        raise InputError("exemplars: no neuron was given; name one or more, as in L14.N2207")
    for neuron in sites:
        model.require(neuron)
    files, size = text_files(paths), min(settings.window, model.context)
    collectors = {neuron: Collector(settings) for neuron in sites}
    bar.begin("reading", sum(file.characters for file in files))
    count = _collect(model, collectors, _windows(model, files, size, bar), max(1, TOKENS // size))
    if not count:
        raise InputError(
            f"--text: {model.name} makes no two tokens of the text in {files[0].path}; give more"
            " words"
        )
    result = ExemplarsResult(
        schema_version=SCHEMA_VERSION,
        command="exemplars",
        model=model_entry(model),
        settings=ExemplarSize(**asdict(settings)),
        texts=tuple(TextEntry(file=path.name, sha256=sha, characters=n) for path, sha, n in files),
        windows=count,
        neurons=tuple(collector.summary(neuron) for neuron, collector in collectors.items()),
        provenance=Provenance.now(),
    )
    rows = [row for neuron, own in collectors.items() for row in _rows(model, neuron, own, files)]
    return ExemplarsResult.of(result.plain()).model_copy(update={"rows": tuple(rows)})


def _collect(
    model: Model, collectors: Mapping[Neuron, Collector], text: Iterator[Window], batch: int
) -> int:
    """The number of windows, after all were passed to the collectors, `batch` in one pass."""
    count, neurons = 0, list(collectors)
    while part := list(islice(text, batch)):
        activations = traces(model, neurons, [window.tokens for window in part], batch)
        for window, values in zip(part, activations, strict=True):
            for collector, own in zip(collectors.values(), values, strict=True):
                collector.add(window, own)
        count += len(part)
    return count


def _windows(model: Model, files: Sequence[TextFile], size: int, bar: Progress) -> Iterator[Window]:
    """The windows of all files, one after another."""
    number = 0
    for place, file in enumerate(files):
        for tokens in windows(model, _pieces(file, bar), size):
            yield Window(place, number, len(model.text_start), tokens)
            number += 1


def _pieces(file: TextFile, bar: Progress) -> Iterator[str]:
    for piece in pieces(file):
        yield piece
        bar.advance(len(piece))


def _rows(
    model: Model, neuron: Neuron, collector: Collector, files: Sequence[TextFile]
) -> Iterator[SnippetRow]:
    kinds: tuple[tuple[Pole, Best], ...]
    kinds = (("+", collector.top), ("-", collector.bottom), ("random", collector.random))
    for pole, best in kinds:
        for rank, snippet in enumerate(best.ranked(), 1):
            words, peak = model.pieces(snippet.tokens), snippet.position - snippet.start
            yield SnippetRow(
                neuron=neuron.site,
                pole=pole,
                rank=rank,
                activation=snippet.activation,
                file=files[snippet.file].path.name,
                window=snippet.window,
                position=snippet.position,
                before="".join(words[:peak]),
                peak=words[peak],
                after="".join(words[peak + 1 :]),
            )
