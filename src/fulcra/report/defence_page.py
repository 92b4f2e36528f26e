"""What was measured of defences as one page, docs/defence.md; a section stands where it was."""

from typing import TYPE_CHECKING

from fulcra.report.monitor import adaptive_sheet, branches_sheet, domains_sheet, doses_sheet
from fulcra.report.notation import gain, rate, rates
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.monitor import MonitorTable


def defence_page(monitor: "MonitorTable | None" = None) -> str:
    """The page in Markdown; without trials of a monitor it has no section of them."""
    return filled(
        "defence.md",
        trials=() if monitor is None else monitor.trials,
        served=() if monitor is None else monitor.served,
        doses=doses_sheet,
        domains=domains_sheet,
        adaptive=adaptive_sheet,
        branches=branches_sheet,
        gain=gain,
        rate=rate,
        rates=rates,
    )
