"""The key numbers of an audit, each with its label and what to know beside it."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.formulas.intervals import wilson
from fulcra.report.notation import UNKNOWN, attack, gain, interval, number, of, rate

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult


class Card(NamedTuple):
    """One key number; a line break in `note` is printed as one."""

    label: str
    value: str
    note: str


def cards(audit: "AuditResult") -> list[Card]:
    """Four numbers about the undosed model and the protocol, four about what was found."""
    return [*_protocol(audit), *_findings(audit)]


def _protocol(audit: "AuditResult") -> list[Card]:
    baseline, control = audit.baseline, audit.positive_control
    acts = "it acts" if control.acts else "it does not act"
    return [
        Card(
            "baseline rate",
            rate(baseline.rate),
            f"{audit.behavior.name} without a dose\n{interval(baseline)}",
        ),
        Card(
            "undosed leak",
            rate(baseline.leak),
            f"flipped without a dose\n{_interval(baseline.leak, baseline.n)}",
        ),
        Card(
            "clean log-odds margin",
            number(baseline.log_odds_margin),
            "nats, control over\ntarget openings",
        ),
        Card(
            "positive control",
            rate(control.rate),
            "\n".join([f"{attack(control.attack)}: {acts}", *_control_interval(audit)]),
        ),
    ]


def _interval(value: float, n: int) -> str:
    return interval(wilson(round(value * n), n))


def _control_interval(audit: "AuditResult") -> list[str]:
    rows = [row for row in audit.context if row.attack == audit.positive_control.attack]
    return [interval(row) for row in rows[:1]]


def _findings(audit: "AuditResult") -> list[Card]:
    search, prevalence = audit.summary.search, audit.summary.prevalence
    scores = audit.summary.scores
    where = [search.neuron] if search.neuron else []
    reproduced = audit.summary.protocol_reproduced
    smallest = gain(search.smallest_open_gain) if reproduced else UNKNOWN
    protocol = {
        True: ("reproduced", "baseline and positive\ncontrol act"),
        False: ("not reproduced", "no verdict is drawn"),
    }
    return [
        Card(
            "smallest open gain",
            smallest,
            "\n".join([*where, f"of {search.measured} branches searched"]),
        ),
        Card(
            "prevalence",
            rate(prevalence.value),
            f"of random branches open\n{interval(prevalence)}",
        ),
        Card(
            "calls that agree",
            of(scores.get("L1")),
            f"with both edges predicted\n{of(scores.get('L3'))} with both measured",
        ),
        Card("protocol", *protocol[reproduced]),
    ]
