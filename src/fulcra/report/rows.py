"""One branch as a row of text, the same on the page and in the terminal."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.notation import UNKNOWN, chance, edge, gain, margin, rate, yes_no

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch


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
    chance: str
    open_gain: str
    verdict: str
    failure_mode: str
    specific: str
    reach: str


def row(audit: "AuditResult", entry: "Branch") -> Row:
    """The row of one branch, its edges at the verdict horizon."""
    return Row(
        name=entry.name,
        source=entry.source,
        layer=entry.neuron.split(".")[0],
        trigger_predicted=edge(entry.trigger_predicted),
        trigger_measured=edge(entry.trigger(audit.behavior.horizon)),
        ceiling_predicted=edge(entry.ceiling_predicted),
        ceiling_measured=edge(entry.ceiling_measured),
        margin=margin(entry.margin),
        chance=chance(None if entry.chance is None else entry.chance.open),
        open_gain=gain(entry.smallest_open_gain) if entry.verdict else UNKNOWN,
        verdict=entry.verdict or UNKNOWN,
        failure_mode=(entry.failure_mode or UNKNOWN).replace("_", " "),
        specific=yes_no(entry.specific),
        reach=rate(entry.reach),
    )
