"""Writes docs/real-model.md from docs/evidence/real: `python -m tools.real_page [RUN ...]`.

The folders of runs that are named are first taken in as evidence: an audit without its quoted
completions, a study of ceilings or of contexts as it is.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.contexts import ContextsResult, median_range
from fulcra.protocol.results.fitness import FitnessTable
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.validation import CeilingRow
from fulcra.report.cost import duration
from fulcra.report.headline import headline
from fulcra.report.notation import interval, rate
from fulcra.store import AUDIT, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE, PAGE = ROOT / "docs" / "evidence" / "real", ROOT / "docs" / "real-model.md"
CEILINGS, CONTEXTS = ModelCeilings.file, ContextsResult.file
#: Paper A's gain at collapse for the Llama family.
FAMILY_GAIN = 1.46


def take_in(run: Path) -> None:
    """Copy the figures of a run into the evidence."""
    if (run / AUDIT).is_file():
        audit = AuditResult.load(run).model_copy(update={"samples": ()})
        write_json(EVIDENCE / f"audit-{audit.behavior.name}.json", audit.plain())
    if (run / CEILINGS).is_file():
        write_json(EVIDENCE / CEILINGS, ModelCeilings.load(run).plain())
    if (run / CONTEXTS).is_file():
        write_json(EVIDENCE / CONTEXTS, ContextsResult.load(run).plain())


def page() -> str:
    """The whole page, from what stands in the evidence."""
    audits = [AuditResult.load(path) for path in sorted(EVIDENCE.glob("audit-*.json"))]
    parts = [_head(audits), _behaviors(), _audits(audits), _law(audits)]
    if (EVIDENCE / CEILINGS).is_file():
        parts.append(_ceilings(ModelCeilings.load(EVIDENCE / CEILINGS)))
    if (EVIDENCE / CONTEXTS).is_file():
        parts.append(_contexts(ContextsResult.load(EVIDENCE / CONTEXTS)))
    return "\n".join(part for part in parts if part)


def _head(audits: Sequence[AuditResult]) -> str:
    lines = ["# What a real chat model showed", ""]
    if audits:
        model = audits[0].model
        lines.append(
            f"{model.name}: {model.layers} layers, d_model {model.d_model}, d_mlp {model.d_mlp},"
            f" {model.parameters:,} parameters, tuned by others, {model.dtype}, sha256"
            f" {model.sha256[:16]}."
        )
    lines += [
        "Written by `python -m tools.real_page` from [evidence](evidence/real/) alone; `make real`"
        " fetches the model.",
        "",
    ]
    return "\n".join(lines)


def _behaviors() -> str:
    table = FitnessTable.load(EVIDENCE / "behaviours.json")
    fit = sum(result.fit for result in table.tried)
    return (
        f"**Behaviors.** {fit} of {len(table.tried)} bundled behaviors are fit for an audit of it"
        " ([table](behaviours.md)).\n"
    )


def _audits(audits: Sequence[AuditResult]) -> str:
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


def _law(audits: Sequence[AuditResult]) -> str:
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


def _ceilings(study: ModelCeilings) -> str:
    floor, nats, tail = study.noise_floor, study.kl_at_ceiling, study.kl_95
    measured = [row.measured for row in study.rows if row.measured is not None]
    lines = [
        "## Ceilings",
        "",
        f"{len(study.rows)} branches, {study.plan.neurons} random of each layer's neurons, both"
        f" poles; {study.plan.openings} openings, {study.plan.horizon} tokens, temperature .8."
        f" Predictions {study.predictions_sha256[:16]} stood on disk before the first dosed"
        " rollout. "
        f"{len(measured)} ceilings lie on the ladder, at a median gain of {median(measured):.2f}.",
        "",
        "| method | tier | MAE in cos (95 %) | in octaves | bias, octaves | correlation | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, score in study.scores.items():
        cells = (
            name,
            str(score.tier),
            f"{_digits(score.mae)} ({_digits(score.low)}-{_digits(score.high)})",
            _digits(score.mae_log2),
            _digits(score.bias_log2),
            _digits(score.correlation),
            str(score.n),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Noise floor {_digits(floor.floor)} in cos, {_digits(floor.log2)} octaves"
        f" ({floor.n} branches measured on two halves of the openings).",
        f"KL at the measured ceiling: median {_digits(nats.median)} nats a token (10-90 %:"
        f" {_digits(nats.low)}-{_digits(nats.high)}); its 95th percentile over tokens: median"
        f" {_digits(tail.median)} ({_digits(tail.low)}-{_digits(tail.high)}).",
        "",
        "| layers | branches on the ladder | median ceiling (gain) | median KL there (nats) |",
        "|---|---|---|---|",
        *_thirds(study.rows),
        "",
        f"Paper A's constant for this family is {FAMILY_GAIN}.",
        "",
    ]
    return "\n".join(lines)


def _thirds(rows: Sequence[CeilingRow]) -> Iterator[str]:
    """The first, middle and last third of the layers."""
    for third in range(3):
        part = [
            row for row in rows if row.layer * 3 // row.layers == third and row.measured is not None
        ]
        layers = sorted({row.layer for row in part})
        if not layers:
            continue
        gain = median(row.measured or 0.0 for row in part)
        nats = median(row.kl_at_ceiling or 0.0 for row in part)
        yield f"| {layers[0]}-{layers[-1]} | {len(part)} | {gain:.2f} | {nats:.2f} |"


def _contexts(study: ContextsResult) -> str:
    lines = [
        "## Budgets and ceilings under other contexts",
        "",
        f"Reference: {study.reference}. |r| is the mean over continuation positions, so no token of"
        " the prompt and no sink token counts; at the first token |r| is"
        f" {median(study.sink):.1f} times that ({min(study.sink):.1f}-{max(study.sink):.1f} by"
        " layer). Ratios to the reference, median (range) over layers and over branches; ceilings"
        " are forecast (`kl_ladder`), as doses.",
        "",
        "| condition | texts | tokens | budgets | ceilings | branches |",
        "|---|---|---|---|---|---|",
    ]
    for row in study.rows:
        ratios = [ratio for ratio in row.ceilings.values() if ratio is not None]
        cells = (
            f"{row.kind} {row.name}",
            str(row.texts),
            f"{row.tokens:.0f}",
            median_range(row.budgets),
            median_range(ratios),
            f"{len(ratios)} of {len(row.ceilings)}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main(runs: Sequence[str]) -> int:
    """Take in the runs that were named, then write the page."""
    for run in runs:
        take_in(Path(run))
    write_text(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
