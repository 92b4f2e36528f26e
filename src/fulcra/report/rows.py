"""One branch as a row of text, the same on the page and in the terminal."""

from typing import NamedTuple

from fulcra.report.notation import UNKNOWN, edge, gain, margin, rate, yes_no
from fulcra.report.reading import Audit, Entry, name, reach, trigger


class Row(NamedTuple):
    """The printed cells of a branch."""

    name: str
    source: str
    layer: str
    trigger_predicted: str
    trigger_measured: str
    ceiling_predicted: str
    ceiling_measured: str
    margin: str
    open_gain: str
    verdict: str
    failure_mode: str
    specific: str
    reach: str
    has_curve: bool


def row(audit: Audit, entry: Entry) -> Row:
    """The row of one branch, its edges at the verdict horizon."""
    return Row(
        name=name(entry),
        source=entry["source"],
        layer=entry["neuron"].split(".")[0],
        trigger_predicted=edge(entry.get("trigger_predicted")),
        trigger_measured=edge(trigger(audit, entry)),
        ceiling_predicted=edge(entry.get("ceiling_predicted")),
        ceiling_measured=edge(entry.get("ceiling_measured")),
        margin=margin(entry.get("margin")),
        open_gain=gain(entry.get("smallest_open_gain")) if entry.get("verdict") else UNKNOWN,
        verdict=entry.get("verdict") or UNKNOWN,
        failure_mode=(entry.get("failure_mode") or UNKNOWN).replace("_", " "),
        specific=yes_no(entry.get("specific")),
        reach=rate(reach(entry)),
        has_curve=bool(entry.get("curve")),
    )
