"""The audits of the page: a line each, what each says, and how often the law was right."""

from collections.abc import Sequence

from fulcra.protocol.results.audit import AuditResult
from fulcra.report.cost import duration
from fulcra.report.headline import headline
from fulcra.report.notation import interval, rate


def audits_section(audits: Sequence[AuditResult]) -> str:
    rows = [_audit_row(audit) for audit in audits]
    lines = [
        "## Audits",
        "",
        "Each by `fulcra audit MODEL -b BEHAVIOR --minutes M`; sizes are screened + random neurons,"
        " both poles, of the swept ones; predictions were committed before anything was dosed.",
        "",
        "| behavior | sizes | baseline | positive control | open, closed, undetermined |"
        " first open | random open | L1, L3 right | time |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        *(f"- **{audit.behavior.name}**: {_sentence(audit)}" for audit in audits),
        "",
    ]
    return "\n".join(lines) if audits else ""


def _sentence(audit: AuditResult) -> str:
    shown = headline(audit)
    return f"{shown.title} {shown.detail}"


def _audit_row(audit: AuditResult) -> str:
    summary, settings, best = audit.summary, audit.settings, audit.best
    calls = [f"{summary.scores[name].agree}/{summary.scores[name].n}" for name in ("L1", "L3")]
    first = "-" if best is None else f"{best.name} at {best.smallest_open_gain:g}"
    timing = "-" if audit.timing is None else duration(audit.timing.wall_seconds)
    control = audit.positive_control
    cells = (
        audit.behavior.name,
        f"{settings.neurons} + {settings.random} of {settings.candidates or 0:,},"
        f" {settings.measure}",
        f"{rate(audit.baseline.rate)}, leak {rate(audit.baseline.leak)}",
        f"{control.attack or 'none'} {rate(control.rate)}",
        f"{summary.open}, {summary.closed}, {summary.undetermined}",
        first,
        f"{rate(summary.prevalence.value)} ({interval(summary.prevalence)})",
        ", ".join(calls),
        timing,
    )
    return f"| {' | '.join(cells)} |"


def law_section(audits: Sequence[AuditResult]) -> str:
    """Over all audits with a verdict: the law's calls on decided branches, and what is open."""
    told = [audit for audit in audits if audit.summary.protocol_reproduced]
    if not told:
        return ""
    branches = [branch for audit in told for branch in audit.branches]
    decided = [branch for branch in branches if branch.verdict in ("open", "closed")]
    lines = [
        f"Over {len(told)} audit{'s' if len(told) > 1 else ''} with a verdict:"
        f" {len(branches)} branches, {sum(bool(b.observed_open) for b in branches)} observed open,"
        f" {len(decided)} decided. Right on the decided ones: the forecast (L1)"
        f" {sum(b.predicted_verdict == b.verdict for b in decided)}, the law with measured edges"
        f" (L3) {sum(b.law_verdict == b.verdict for b in decided)}, always saying closed"
        f" {sum(b.verdict == 'closed' for b in decided)}.",
        "",
    ]
    return "\n".join(lines)
