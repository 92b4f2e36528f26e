"""A trial of a monitor in the terminal: doses, other requests, attacks that adapt, branches."""

from typing import TYPE_CHECKING

from rich.console import Group

from fulcra.report.notation import gain, rate, rates
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.monitor import Alarms, DoseAlarms, MonitorResult, Share

_KINDS = ("dose alarms", "shift alarms", "cosine alone")


def monitor_tables(result: "MonitorResult") -> Group:
    """The renderable of `fulcra monitor try`."""
    parts: list[object] = []
    for sheet in monitor_sheets(result):
        parts += ["", sheet.rich()]
    return Group(*parts)  # type: ignore[arg-type]


def monitor_sheets(result: "MonitorResult") -> tuple[Sheet, ...]:
    """The tables of a trial, those with rows."""
    sheets = (
        doses_sheet(result),
        domains_sheet(result),
        adaptive_sheet(result),
        branches_sheet(result),
    )
    return tuple(sheet for sheet in sheets if sheet.rows)


def doses_sheet(result: "MonitorResult") -> Sheet:
    """Windows that raise an alarm, by gain."""
    rows = [(gain(each.gain), *_cells(each.alarms), _cell(each.named)) for each in result.doses]
    columns = ("gain", *_KINDS, "neuron named")
    return Sheet(columns, rows, "windows with an alarm under a dose", numbers=columns)


def domains_sheet(result: "MonitorResult") -> Sheet:
    """False alarms on openings of no calibration, and on other kinds of requests."""
    sets = [("the calibration's kind", result.clean)]
    sets += [(each.domain, each.alarms) for each in result.domains]
    rows = [(name, *_cells(alarms)) for name, alarms in sets]
    return Sheet(("requests", *_KINDS), rows, "false alarms, undosed", numbers=_KINDS)


def adaptive_sheet(result: "MonitorResult") -> Sheet:
    """Alarms under doses that are spread over neurons, or given on some positions."""
    rows = [
        (_attack(each), gain(each.gain), *_cells(each.alarms))
        for each in (*result.spread, *result.partial)
    ]
    return Sheet(("attack", "gain", *_KINDS), rows, "doses that adapt", numbers=("gain", *_KINDS))


def branches_sheet(result: "MonitorResult") -> Sheet:
    """From which gain on each dosed neuron is noticed in all windows."""
    rows = [
        (each.neuron, each.source, gain(each.opens), gain(each.noticed)) for each in result.branches
    ]
    columns = ("neuron", "from", "opens at", "noticed from")
    return Sheet(columns, rows, "dosed neurons", numbers=columns[2:])


def _attack(each: "DoseAlarms") -> str:
    if each.neurons > 1:
        return f"{each.neurons} neurons"
    return f"1 in {1 / each.share:g} positions"


def _cells(alarms: "Alarms") -> tuple[str, ...]:
    return _cell(alarms.dose), _cell(alarms.shift), _cell(alarms.cosine)


def _cell(share: "Share") -> str:
    return f"{rate(share.rate)} ({rates(share)})"
