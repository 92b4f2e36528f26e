"""The ceilings of the page: predicted before they were measured, and under other contexts."""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from fulcra.protocol.results.contexts import ContextRow, ContextsResult, median_range
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.validation import CeilingRow

#: Paper A's gain at collapse for the Llama family.
FAMILY_GAIN = 1.46


def ceilings_section(study: ModelCeilings) -> str:
    floor, nats, tail = study.noise_floor, study.kl_at_ceiling, study.kl_95
    measured = [row.measured for row in study.rows if row.measured is not None]
    lines = [
        "## Ceilings",
        "",
        f"{len(study.rows)} branches, {study.plan.neurons} random of each layer's neurons, both"
        f" poles; {study.plan.openings} openings, {study.plan.horizon} tokens, temperature .8."
        f" Predictions {study.predictions_sha256[:16]} ([all](evidence/real/predictions.json)) were"
        " entered in a [ledger](evidence/real/ledger.jsonl) before the first dosed rollout. "
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


def contexts_section(study: ContextsResult) -> str:
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
    apart = {
        kind: max(_octaves(row) for row in study.rows if row.kind == kind)
        for kind in dict.fromkeys(row.kind for row in study.rows)
    }
    words = " and ".join(f"{value:.2f} under another {kind}" for kind, value in apart.items())
    moved = (
        f"The median hardly moves; a single branch does, by up to {words} (octaves). That is a"
        f" forecast on {len(study.rows[0].ceilings)} branches: no ceiling was measured under"
        " another context."
    )
    return "\n".join([*lines, "", moved, ""])


def _octaves(row: ContextRow) -> float:
    """How far the forecast ceiling that moved most lies from its reference."""
    return max(abs(math.log2(ratio)) for ratio in row.ceilings.values() if ratio)


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
