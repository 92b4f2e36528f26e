"""What other commands measured of a run's model, from their folders, for the page of the run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fulcra.errors import InputError
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.extension import ExtensionResult
from fulcra.protocol.results.judging import JudgingResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.protocol.seal import read_seal
from fulcra.release.finished import FinishedRun
from fulcra.report.beside import Beside

#: The results that stand in a page, by the field that holds them, and what writes each.
KINDS: dict[str, tuple[type[Result], str]] = {
    "extension": (ExtensionResult, "fulcra audit --more"),
    "effects": (EffectsResult, "fulcra effects"),
    "judging": (JudgingResult, "fulcra judge"),
    "screens": (ScreensResult, "fulcra research screens"),
}


def beside_of(run: FinishedRun, folders: Sequence[Path]) -> Beside:
    """What the folders hold of the run; InputError where one holds nothing or one kind is twice."""
    results: dict[str, Result] = {}
    for folder in folders:
        for field, result in _results(folder):
            if field in results:
                raise InputError(
                    f"--with {folder}: a second {result.file}; a page shows one, name one"
                )
            results[field] = result
    beside = Beside(**results)  # type: ignore[arg-type]
    _require_own(run, beside.judging)
    _require_extends(run, beside.extension)
    return beside


def _results(folder: Path) -> Iterator[tuple[str, Result]]:
    """Every result of a folder that a page can show."""
    if not folder.is_dir():
        fault = "found a file" if folder.exists() else "no such folder"
        raise InputError(f"--with {folder}: {fault}; name the folder of {_writers()}")
    there = [field for field, (kind, _) in KINDS.items() if (folder / kind.file).is_file()]
    if not there:
        files = ", ".join(kind.file for kind, _ in KINDS.values())
        raise InputError(f"--with {folder}: holds none of {files}; name the folder of {_writers()}")
    for field in there:
        yield field, KINDS[field][0].load(folder)


def _writers() -> str:
    *first, last = (f"`{command}`" for _, command in KINDS.values())
    return f"{', '.join(first)} or {last}"


def _require_own(run: FinishedRun, judging: JudgingResult | None) -> None:
    """InputError where judgements are of other rollouts than the run's: they name no model."""
    if judging is None:
        return
    own = [record for record in run.files.records if record.stage in judging.stages]
    hashes = {record.text_hash for record in own}
    strange = any(row.text_hash not in hashes for row in judging.disagreements)
    if len(own) != judging.rollouts or strange:
        raise InputError(
            f"--with: {judging.file} judges {judging.rollouts} rollouts, {run.files.folder} has"
            f" {len(own)} of these stages{' with other texts' if strange else ''}; give the"
            " judgements of this run"
        )


def _require_extends(run: FinishedRun, extension: ExtensionResult | None) -> None:
    """InputError where an extension names the seal of another run."""
    seal = read_seal(run.files.folder)
    if extension is not None and (seal is None or extension.extends != seal.root):
        raise InputError(
            f"--with: {extension.file} extends a run sealed {extension.extends[:12]},"
            f" {run.files.folder} is sealed {seal.root[:12] if seal else 'by nothing'}; give the"
            " extension of this run"
        )
