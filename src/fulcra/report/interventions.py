"""The comparison of interventions as a page of the documentation."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.notation import fixed
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.interventions import InterventionRow, InterventionsResult

COLUMNS = (
    "intervention",
    "site",
    "dose",
    "matched",
    "rate (95 %)",
    "reach",
    "quality",
    "surprise",
    "KL",
    "accuracy",
    "over-refusal",
)


class ModelTable(NamedTuple):
    """The table of one model: its behavior, its number of confirmation prompts, its lines."""

    model: str
    behavior: str
    n: int
    lines: list[str]


def interventions_markdown(result: "InterventionsResult") -> str:
    """The page of a comparison: one table a model."""
    return filled("interventions.md", target=f"{result.target:.0%}", tables=model_tables(result))


def model_tables(result: "InterventionsResult") -> list[ModelTable]:
    """The tables of a comparison, model by model."""
    models = dict.fromkeys(row.model for row in result.rows)
    return [_table([row for row in result.rows if row.model == model]) for model in models]


def _table(rows: "list[InterventionRow]") -> ModelTable:
    lines = Sheet(COLUMNS, [_cells(row) for row in rows]).markdown()
    return ModelTable(rows[0].model, rows[0].behavior, rows[-1].n, lines)


def _cells(row: "InterventionRow") -> list[str]:
    bare = row.intervention == "none"
    numbers = (
        row.reach,
        row.quality,
        row.surprise,
        row.kl_per_token,
        row.accuracy,
        row.over_refusal,
    )
    return [
        row.intervention,
        row.site,
        "" if bare else f"{row.dose:.3g}",
        "" if bare else "yes" if row.matched else "no",
        f"{fixed(row.behavior_rate)} ({row.low:.2f}-{row.high:.2f})",
        *map(fixed, numbers),
    ]
