"""A trial of a monitor in the terminal: doses, other requests, attacks that adapt, branches."""

from typing import TYPE_CHECKING

from rich.console import Group

from fulcra.report.notation import gain, rate, rates
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.monitor import Alarms, DoseAlarms, MonitorResult, Share

#: The number of windows that shares are of.
_COUNT = "windows"
_KINDS = ("dose alarms", "shift alarms", "cosine alone")
#: Whether the neurons of a spread dose are of one layer, where a trial has both.
_PICKED = {"alike": "", "unlike": " of the layer", "unlike over layers": " of all layers"}


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
    rows = [(gain(each.gain), *_counted(each.alarms), _cell(each.named)) for each in result.doses]
    columns = ("gain", _COUNT, *_KINDS, "neuron named")
    return Sheet(columns, rows, "windows with an alarm under a dose", numbers=columns)


def domains_sheet(result: "MonitorResult") -> Sheet:
    """False alarms on openings of no calibration, and on other kinds of requests."""
    sets = [("the calibration's kind", result.clean)]
    sets += [(each.domain, each.alarms) for each in result.domains]
    rows = [(name, *_counted(alarms)) for name, alarms in sets]
    numbers = (_COUNT, *_KINDS)
    return Sheet(("requests", *numbers), rows, "false alarms, undosed", numbers=numbers)


def adaptive_sheet(result: "MonitorResult") -> Sheet:
    """Alarms under doses that are spread over neurons, or given on some positions."""
    rows = [
        (_attack(each), gain(each.gain), *_counted(each.alarms))
        for each in (*result.spread, *result.partial)
    ]
    numbers = ("gain", _COUNT, *_KINDS)
    return Sheet(("attack", *numbers), rows, "doses that adapt", numbers=numbers)


def branches_sheet(result: "MonitorResult") -> Sheet:
    """From which gain on each dosed neuron is noticed in all windows."""
    own = str(_windows_each(result))
    rows = [
        (each.neuron, each.source, gain(each.opens), gain(each.noticed), own)
        for each in result.branches
    ]
    columns = ("neuron", "from", "opens at", "noticed from", "windows a gain")
    return Sheet(columns, rows, "dosed neurons", numbers=columns[2:])


def trial_name(result: "MonitorResult") -> str:
    """The model of a trial and the text that its monitor was calibrated on."""
    behavior = result.calibration.behavior
    return f"{result.model.name}, {'bundled requests' if behavior is None else behavior.name}"


def noticed_words(result: "MonitorResult") -> str:
    """From which gain on a trial's doses are noticed, of how many windows; or what is, at most."""
    first = result.noticed_from()
    if not result.doses:
        return "no dose was tried"
    each = next((dose for dose in result.doses if dose.gain == first), result.doses[-1])
    share = each.alarms.dose
    counts = f"{share.alarms} of {share.n} windows, {rates(share)}"
    if first is None:
        return f"none of those tried (at {gain(each.gain)}: {counts})"
    return f"{gain(first)} ({counts})"


def false_words(result: "MonitorResult") -> str:
    """How many undosed windows of the calibration's kind alarm, held to the rate it was made for.

    They are of dose and of shift, each against its own threshold.
    """
    target, kinds = result.calibration.rate, (result.clean.dose, result.clean.shift)
    counts = " and ".join(f"{each.alarms} ({rates(each)})" for each in kinds)
    verdicts = " and ".join(each.against(target) for each in kinds)
    return (
        f"of {kinds[0].n} undosed windows {counts} raise a dose and a shift alarm: the target of"
        f" {rate(target)} each is {verdicts}"
    )


def _windows_each(result: "MonitorResult") -> int:
    """The windows of one dosed neuron at one gain: those of a gain over the neurons it is of."""
    first = next(iter(result.doses), None)
    if first is None or not result.branches:
        return 0
    return first.alarms.dose.n // sum(first.gain in each.gains for each in result.branches)


def _attack(each: "DoseAlarms") -> str:
    if each.neurons > 1:
        return f"{each.neurons} neurons{_PICKED[each.pick]}"
    return f"1 in {1 / each.share:g} positions"


def _counted(alarms: "Alarms") -> tuple[str, ...]:
    """How many windows there are, and the share of each kind of alarm."""
    shares = (alarms.dose, alarms.shift, alarms.cosine)
    return str(alarms.dose.n), *map(_cell, shares)


def _cell(share: "Share") -> str:
    return f"{rate(share.rate)} ({rates(share)})"
