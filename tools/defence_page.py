"""Writes docs/defence.md from what trials of defences left in docs/evidence."""

from pathlib import Path

from fulcra.defence.hardened import HardenResult
from fulcra.defence.mend.mended import MendResult
from fulcra.defence.recipes.entries import RecipesResult
from fulcra.defence.recipes.figures import Figured, together
from fulcra.organisms.planted import bundled_names
from fulcra.protocol.results.gate import GateResult
from fulcra.protocol.results.monitor import MonitorTable
from fulcra.report.defence_page import DRAWN, defence_page, drawn
from fulcra.report.figures.windows_beside import windows_beside

#: A model that others trained displaces no organism, whatever its file is called.
ORGANISMS = bundled_names()
DOCS = Path(__file__).resolve().parents[1] / "docs"
EVIDENCE = DOCS / "evidence"
FIGURE = DOCS / "images" / "defence-windows.svg"


def hardened(evidence: Path = EVIDENCE) -> list[HardenResult]:
    """The hardenings whose figures stand in the evidence: organisms first, then by file name."""
    results = [HardenResult.load(path) for path in by_name(evidence, "harden*.json")]
    return sorted(results, key=lambda result: result.model.name not in ORGANISMS)


def mended() -> list[MendResult]:
    """The mendings whose figures stand in the evidence, by file name."""
    return [MendResult.load(path) for path in by_name(EVIDENCE, "mend*.json")]


def gates() -> list[GateResult]:
    """What `fulcra gate` decided of their audits, by file name."""
    return [GateResult.load(path) for path in by_name(EVIDENCE / "gates", "*.json")]


def recipes() -> tuple[list[RecipesResult], Figured]:
    """The studies of ways of tuning, and their figures as one."""
    results = [RecipesResult.load(path) for path in by_name(EVIDENCE, "recipes*")]
    return results, together(results)


def by_name(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder in the order of their names, a name before those that it begins."""
    return sorted(folder.glob(pattern), key=lambda path: path.stem)


def page() -> str:
    """The page of the evidence there is."""
    place = EVIDENCE / MonitorTable.file
    monitor = MonitorTable.load(place) if place.is_file() else None
    return defence_page(monitor, hardened(), gates(), mended(), recipes())


if __name__ == "__main__":
    (DOCS / "defence.md").write_text(page(), encoding="utf-8")
    if (result := drawn(hardened())) is not None:
        FIGURE.write_text(windows_beside(result, DRAWN), encoding="utf-8")
