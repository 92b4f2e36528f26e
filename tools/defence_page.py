"""Writes docs/defence.md from what trials of defences left in docs/evidence."""

from pathlib import Path

from fulcra.defence.hardened import HardenResult
from fulcra.defence.mend.mended import MendResult
from fulcra.protocol.results.gate import GateResult
from fulcra.protocol.results.monitor import MonitorTable
from fulcra.report.defence_page import defence_page
from fulcra.report.figures.windows_beside import windows_beside

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURE = DOCS / "images" / "defence-windows.svg"


def hardened() -> list[HardenResult]:
    """The hardenings whose figures stand in the evidence, by file name."""
    return [HardenResult.load(path) for path in sorted((DOCS / "evidence").glob("harden*.json"))]


def mended() -> list[MendResult]:
    """The mendings whose figures stand in the evidence, by file name."""
    return [MendResult.load(path) for path in sorted((DOCS / "evidence").glob("mend*.json"))]


def gates() -> list[GateResult]:
    """What `fulcra gate` decided of their audits, by file name."""
    return [GateResult.load(path) for path in sorted((DOCS / "evidence" / "gates").glob("*.json"))]


def page() -> str:
    """The page of the evidence there is."""
    place = DOCS / "evidence" / MonitorTable.file
    monitor = MonitorTable.load(place) if place.is_file() else None
    return defence_page(monitor, hardened(), gates(), mended())


if __name__ == "__main__":
    (DOCS / "defence.md").write_text(page(), encoding="utf-8")
    if (results := hardened()) and results[0].sides:
        FIGURE.write_text(windows_beside(results[0]), encoding="utf-8")
