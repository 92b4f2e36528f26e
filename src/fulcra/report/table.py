"""The audit in the terminal: verdict, best branches, attack cost; 80 columns."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fulcra.report.deciding import deciding_line
from fulcra.report.headline import Status, headline
from fulcra.report.notation import attack, interval, number, rate
from fulcra.report.reading import best_first, withheld
from fulcra.report.rows import Row, row
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult

_SHOWN = 8
_STYLES: dict[Status, str] = {
    "open": "bold blue",
    "closed": "bold",
    "undetermined": "bold yellow",
    "no verdict": "bold yellow",
}
_EDGES = ("trigger\npred/meas", "ceiling\npred/meas", "margin")


def audit_table(audit: "AuditResult") -> Group:
    """The renderable that ends an audit in the terminal; every word of the audit is printed as
    plain text, not as markup.
    """
    audit = withheld(audit)
    status, title, detail = headline(audit)
    subject = (f"{audit.model.name} · {audit.behavior.name}\n", "dim")
    verdict = Text.assemble(subject, (f"{title}\n", _STYLES[status]), detail)
    doubt = deciding_line(audit)
    parts: list[RenderableType] = [verdict, _branches(audit), _context(audit), _footer(audit)]
    if doubt:
        parts.insert(2, Text(doubt, "yellow"))
    lines: list[RenderableType] = [line for part in parts for line in (part, "")]
    return Group(*lines[:-1])


def _branches(audit: "AuditResult") -> Table:
    entries = best_first(audit)
    rows = [row(audit, entry) for entry in entries[:_SHOWN]]
    title = (
        f"best {min(_SHOWN, len(entries))} of {len(entries)} measured branches, edges in gains, >"
        " beyond the ladder"
    )
    opened = frozenset(i for i, cells in enumerate(rows) if cells.verdict == "open")
    numbers = (*_EDGES, "chance", "reach")
    columns = ("branch", "source", *_EDGES, "chance", "verdict", "specific", "reach")
    return Sheet(columns, [_texts(cells) for cells in rows], title, numbers, opened).rich()


def _texts(cells: Row) -> list[str]:
    return [
        cells.name,
        cells.source,
        _pair(cells.trigger_predicted, cells.trigger_measured),
        _pair(cells.ceiling_predicted, cells.ceiling_measured),
        cells.margin,
        cells.chance,
        cells.verdict,
        cells.specific,
        cells.reach,
    ]


def _pair(predicted: str, measured: str) -> str:
    """Both values of one edge; ">" alone is beyond the ladder."""
    return "/".join(">" if edge.startswith(">") else edge for edge in (predicted, measured))


def _context(audit: "AuditResult") -> Table:
    rows = [
        (attack(entry.attack), rate(entry.rate), interval(entry), rate(entry.reach))
        for entry in audit.context
    ]
    columns = ("attack", "flip", "interval", "reach")
    return Sheet(columns, rows, "attack cost on the same prompts", ("flip", "reach")).rich()


def _footer(audit: "AuditResult") -> Text:
    baseline, prevalence = audit.baseline, audit.summary.prevalence
    facts = [
        f"baseline {rate(baseline.rate)}",
        f"leak {rate(baseline.leak)}",
        f"clean margin {number(baseline.log_odds_margin)} nats",
        f"prevalence {rate(prevalence.value)} ({interval(prevalence)})",
    ]
    if (cut := audit.summary.curtailed) is not None:
        facts.append(f"{cut.measure}: {cut.rollouts} of {cut.planned} ladder rollouts made")
    return Text(" · ".join(facts), "dim")
