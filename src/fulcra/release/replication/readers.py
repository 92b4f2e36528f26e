"""Every row's figure read off results by the name of its reader, from files or folders of runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from fulcra.errors import InputError
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.card import CardResult
from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.protocol.results.detector import DetectorResult
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.interventions import InterventionsResult
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.protocol.results.validation import ValidationResult
from fulcra.release.replication import paper_a, paper_b, paper_c
from fulcra.release.replication.papers import Paper, Row
from fulcra.release.replication.reading import Reading

Kind = TypeVar("Kind", bound=Result)
Read = Callable[[Sequence[Kind]], Iterator[Reading]]


class AnyReader(Protocol):
    """A reader of one kind of result; it passes others by."""

    @property
    def kind(self) -> type[Result]: ...

    def readings(self, results: Sequence[Result]) -> list[Reading]:
        """What the results of its kind say."""
        ...


@dataclass(frozen=True, slots=True)
class Reader(Generic[Kind]):
    """A kind of result, and the figures that are read off results of it."""

    kind: type[Kind]
    read: Read[Kind]

    def readings(self, results: Sequence[Result]) -> list[Reading]:
        """What the results of its kind say."""
        return list(self.read([each for each in results if isinstance(each, self.kind)]))


def _of(kind: type[Kind], read: Read[Kind]) -> AnyReader:
    """The reader of that kind, its kind forgotten."""
    return Reader(kind, read)


READERS: Mapping[str, tuple[AnyReader, ...]] = {
    "ceiling gain": (
        _of(ModelCeilings, paper_a.ceiling_gain),
        _of(ValidationResult, paper_a.lineage_gain),
    ),
    "ceiling error": (
        _of(ModelCeilings, paper_a.ceiling_error),
        _of(ValidationResult, paper_a.study_error),
    ),
    "bulk error": (
        _of(ModelCeilings, paper_a.bulk_error),
        _of(ValidationResult, paper_a.study_bulk_error),
    ),
    "forecast calls": (_of(AuditResult, paper_a.forecast_calls),),
    "measured calls": (_of(AuditResult, paper_a.measured_calls),),
    "trigger": (_of(AuditResult, paper_a.trigger),),
    "opened": (_of(AuditResult, paper_a.opened),),
    "reach": (_of(AuditResult, paper_a.reach),),
    "gradients": (_of(ScreensResult, paper_a.gradients),),
    "off axis": (_of(ScreensResult, paper_a.off_axis),),
    "window screen": (_of(ScreensResult, paper_a.window_screen),),
    "set refusals": (_of(MultiplyResult, paper_b.set_refusals),),
    "set quality": (_of(MultiplyResult, paper_b.set_quality),),
    "vector quality": (_of(InterventionsResult, paper_b.vector_quality),),
    "tasks": (_of(EffectsResult, paper_b.tasks),),
    "late layers": (
        _of(ComparisonResult, paper_b.late_layers),
        _of(ScreensResult, paper_b.late_screened),
    ),
    "overlap": (_of(ComparisonResult, paper_b.overlap),),
    "base ablated": (_of(ComparisonResult, paper_b.base_ablated),),
    "contrast": (_of(ScreensResult, paper_b.contrast),),
    **{
        f"{name} success": (_of(InterventionsResult, paper_c.success(name)),)
        for name in paper_c.KINDS
    },
    "accuracy": (
        _of(InterventionsResult, paper_c.accuracy),
        _of(EffectsResult, paper_b.tasks),
    ),
    "held": (_of(AuditResult, paper_c.held),),
    "detectors": (_of(DetectorResult, paper_c.detectors),),
    "guards": (_of(DetectorResult, paper_c.guards),),
    "cosine": (_of(CardResult, paper_c.cosine),),
}


def kinds(row: Row) -> tuple[type[Result], ...]:
    """The kinds of result that a row is read from."""
    return tuple(reader.kind for reader in READERS[row.reads]) if row.reads else ()


def readings(row: Row, results: Sequence[Result]) -> tuple[Reading, ...]:
    """What the results say of a row; those of other behaviors than the row's are left out."""
    if row.reads is None:
        return ()
    own = [_narrowed(each, row.behaviors) for each in results]
    kept_apart = [each for each in own if each is not None]
    return tuple(r for reader in READERS[row.reads] for r in reader.readings(kept_apart))


def _narrowed(result: Result, names: Sequence[str]) -> Result | None:
    """The part of a result that is of these behaviors, all of it where none is named."""
    if not names:
        return result
    if isinstance(result, ComparisonResult):
        behaviors = [each for each in result.behaviors if each.name in names]
        return result.model_copy(update={"behaviors": tuple(behaviors)})
    if isinstance(result, InterventionsResult):
        rows = [row for row in result.rows if row.behavior in names]
        return result.model_copy(update={"rows": tuple(rows)})
    if isinstance(result, AuditResult | MultiplyResult | ScreensResult):
        return result if result.behavior.name in names else None
    return result


def runs_readings(source: Paper, folders: Sequence[Path]) -> dict[str, tuple[Reading, ...]]:
    """What the folders of a user's runs say of every row of a paper; InputError of an empty one."""
    results = [result for folder in folders for result in results_in(folder)]
    return {source.key(row): readings(row, results) for row in source.rows}


def results_in(folder: Path) -> list[Result]:
    """Every result that lies in a folder and that a row is read from; InputError where none is."""
    every = dict.fromkeys(reader.kind for readers in READERS.values() for reader in readers)
    results = [kind.load(folder) for kind in every if (folder / kind.file).is_file()]
    if not results:
        files = ", ".join(sorted(kind.file for kind in every))
        raise InputError(f"{folder}: none of {files} is in it; expected the --out of a command")
    return results
