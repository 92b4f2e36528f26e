"""A monitor's calibration: what is usual of a model's stream, and thresholds with their bound."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from fulcra.defence.monitor.statistics import STATISTICS, LayerNorms, Scores, layer_norms, scores
from fulcra.defence.monitor.traffic import WINDOW, Openings, Traffic, rolled_windows
from fulcra.errors import InputError, RunFolderError
from fulcra.formulas.conformal import conformal_threshold, scores_needed
from fulcra.formulas.shift import Whitening
from fulcra.models import Model
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.monitor import CalibrationResult, ThresholdEntry
from fulcra.protocol.runs import model_entry, named
from fulcra.store import read_table, write_bytes
from fulcra.types import Behavior

SCHEMA_VERSION = 1
TENSORS = "calibration.safetensors"
#: Seeds of the two sets of clean windows lie so far apart that no text is drawn twice.
APART = 1_000_003


class CalibrationSettings(NamedTuple):
    """How many clean windows fit what is usual and, as many again, the thresholds; the rate asked.

    `rate` is of false alarms of each statistic, a window.
    """

    windows: int = 200
    rate: float = 0.01
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What is usual of one model's stream on clean text, layer by layer, with its header."""

    header: CalibrationResult
    norms: tuple[LayerNorms, ...]

    def __repr__(self) -> str:
        return "\n".join(("<Calibration>", *self.header.lines()))

    @property
    def thresholds(self) -> Tensor:
        """The threshold of every statistic, [statistic]."""
        return torch.tensor([self.header.threshold(name).value for name in STATISTICS])

    def require(self, model: Model) -> None:
        """InputError unless it was made on this very model, in its dtype."""
        own, dtype = self.header.model, str(model.dtype).removeprefix("torch.")
        if own.sha256 != model.sha256:
            raise InputError(
                f"monitor: calibrated on {own.name} ({own.dtype}, weights {own.sha256[:12]}),"
                f" {model.name} has weights {model.sha256[:12]} in {dtype}; run `fulcra monitor"
                " fit` on it"
            )
        if own.dtype != dtype:
            raise InputError(
                f"monitor: calibrated on {own.name} in {own.dtype}, loaded here in {dtype}; load it"
                f" in {own.dtype} (--dtype {own.dtype}), or run `fulcra monitor fit` in {dtype}"
            )

    def openings(self, behavior: Behavior | None) -> Openings:
        """The openings it was made on; InputError where those of the behavior are others."""
        openings, own = Openings.of(behavior), self.header.behavior
        if openings.sha256 != self.header.openings_sha256:
            name = "the bundled generic text" if own is None else f"--behavior {own.name}"
            todo = "name no behavior" if own is None else "name the same behavior"
            raise InputError(
                f"monitor: calibrated on {name}, other openings than asked for here; {todo}"
            )
        return openings

    def save(self, folder: str | Path) -> Path:
        """Write tensors and header into a folder, the header last; returns its path."""
        write_bytes(Path(folder) / TENSORS, _bytes(self.norms))
        return self.header.save(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Calibration":
        """The calibration of a folder; RunFolderError where it is none, or not whole."""
        path = Path(folder) / TENSORS
        header = CalibrationResult.load(folder)
        data = read_table(path)
        if hashlib.sha256(data).hexdigest() != header.tensors_sha256:
            raise RunFolderError(
                f"{path}: not the tensors its {CalibrationResult.file} names; run `fulcra monitor"
                " fit` again"
            )
        return cls(header, _norms(path, data, header.model.layers))


def calibrate(
    model: Model,
    behavior: Behavior | None = None,
    settings: CalibrationSettings = CalibrationSettings(),
    progress: Progress | None = None,
) -> Calibration:
    """A monitor of this model, from windows of its own clean text.

    What is usual, thresholds and any later trial stand on different openings. InputError where
    there are fewer windows than the rate takes. Cost: twice `windows` times 64 tokens generated.
    """
    needed = scores_needed(settings.rate)
    if settings.windows < needed:
        raise InputError(
            f"monitor: {settings.windows} clean windows, and a false-alarm rate of"
            f" {settings.rate:g} takes {needed}; ask for more windows or a higher rate"
        )
    openings, clock = Openings.of(behavior), Clock(progress or Silent())
    system = behavior.system if behavior else None
    sets: list[Tensor] = []
    for name, part in (("fit", openings.fit), ("threshold", openings.threshold)):
        with clock.step(f"clean windows of the {name}", settings.windows) as step:
            seed = settings.seed + APART * len(sets)
            clean = rolled_windows(model, Traffic(part, system), settings.windows, seed)
            step.advance(settings.windows)
            sets.append(clean.windows)
    norms = tuple(layer_norms(model, i, sets[0][:, i]) for i in range(model.n_layers))
    held = scores(model, norms, sets[1])
    header = CalibrationResult(
        schema_version=SCHEMA_VERSION,
        command="monitor fit",
        model=model_entry(model),
        behavior=None if behavior is None else named(behavior),
        openings_sha256=openings.sha256,
        window=WINDOW,
        fit_windows=settings.windows,
        seed=settings.seed,
        rate=settings.rate,
        thresholds=_thresholds(held, settings.rate),
        tensors_sha256=hashlib.sha256(_bytes(norms)).hexdigest(),
        provenance=Provenance.now(),
        timing=clock.timing(),
    )
    return Calibration(CalibrationResult.of(header.plain()), norms)


def _thresholds(clean: Scores, rate: float) -> tuple[ThresholdEntry, ...]:
    entries = []
    for name in STATISTICS:
        value, bound, n = conformal_threshold(clean.column(name).tolist(), rate)
        entries.append(ThresholdEntry(statistic=name, value=value, bound=bound, n=n))
    return tuple(entries)


def _flat(norms: LayerNorms) -> dict[str, Tensor]:
    """The tensors of one layer by name."""
    own = {name: value for name, value in norms._asdict().items() if name != "spread"}
    return {**norms.spread._asdict(), **own}


def _bytes(norms: tuple[LayerNorms, ...]) -> bytes:
    """All layers as a safetensors file."""
    tensors = {
        f"{layer}.{name}": value.contiguous()
        for layer, norm in enumerate(norms)
        for name, value in _flat(norm).items()
    }
    return to_bytes(tensors)


def _norms(path: Path, data: bytes, layers: int) -> tuple[LayerNorms, ...]:
    try:
        tensors = from_bytes(data)
        return tuple(
            LayerNorms(
                Whitening(*(tensors[f"{i}.{name}"] for name in Whitening._fields)),
                *(tensors[f"{i}.{name}"] for name in LayerNorms._fields[1:]),
            )
            for i in range(layers)
        )
    except (SafetensorError, KeyError) as error:
        raise RunFolderError(
            f"reading {path}: {error}; expected tensors written by `fulcra monitor fit`"
        ) from None
