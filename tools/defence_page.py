"""Writes docs/defence.md from what trials of defences left in docs/evidence."""

from pathlib import Path

from fulcra.protocol.results.monitor import MonitorTable
from fulcra.report.defence_page import defence_page

DOCS = Path(__file__).resolve().parents[1] / "docs"


def page() -> str:
    """The page of the evidence there is."""
    place = DOCS / "evidence" / MonitorTable.file
    return defence_page(MonitorTable.load(place) if place.is_file() else None)


if __name__ == "__main__":
    (DOCS / "defence.md").write_text(page(), encoding="utf-8")
