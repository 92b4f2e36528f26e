"""The papers' other experiments on the page: screens, sets, interventions, detectors, effects."""

from collections.abc import Mapping, Sequence

from fulcra.protocol.results.detector import DetectorEstimate, DetectorResult
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.exemplars import ExemplarsResult
from fulcra.protocol.results.interventions import InterventionsResult
from fulcra.protocol.results.judging import Paired
from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.report.interventions import model_tables
from fulcra.report.notation import fixed
from fulcra.report.screens_table import multiply_sheet, screens_sheet
from fulcra.report.sheet import Sheet

#: Snippets shown of each pole of a neuron.
SHOWN = 3


def screens_section(result: ScreensResult) -> str:
    """Every screen by what opens; the rates of openness that the sample gives."""
    counts, swept = result.truth_summary, result.settings.swept
    bound = f" Window and dosed_logit sweep {swept} neurons, by contrast." if swept else ""
    gradients = result.gradients.anti_predict
    return _section(
        f"Screens, on {result.behavior.name}",
        [
            f"{counts.open} of {counts.branches} measured branches open"
            f" ({counts.specific} specifically): each screen's top 32 and"
            f" {result.settings.sample} random others, of which {counts.missed.rate or 0:.0%}"
            f" opened (n = {counts.missed.n}).{bound} Do gradients anti-predict control?"
            f" {gradients.capitalize()}.",
            "",
            *screens_sheet(result).markdown(),
        ],
    )


def multiply_section(result: MultiplyResult) -> str:
    """Paper B's smallest set under every multiplier, and where each other set flips most."""
    first = next(entry.set for entry in result.sets)
    whole = [row for row in result.rows if row.set == first and row.pole == "both"]
    most = [
        max(
            (row for row in result.rows if (row.set, row.pole) == (entry.set, entry.pole)),
            key=lambda row: (row.flip_rate, row.multiplier == 0),
        )
        for entry in result.sets
    ]
    ablated = next(row for row in whole if row.multiplier == 0)
    shown = (*whole, *(row for row in most if row not in whole))
    return _section(
        f"Paper B's sets multiplied, on {result.behavior.name}",
        [
            f"The {first} set held at 0 flips {ablated.flip_rate:.0%} of {ablated.n} prompts, at"
            f" any multiplier at most {max(row.flip_rate for row in whole):.0%}; the set and"
            f" multiplier that flip most reach {max(row.flip_rate for row in most):.0%}."
            f" {result.random_sets} random sets beside each. Of the other sets the row that flips"
            " most stands here (ablation where all are equal); every row is in"
            " [multiply.json](evidence/real/multiply.json).",
            "",
            *multiply_sheet(result.model_copy(update={"rows": shown})).markdown(),
        ],
    )


def interventions_section(result: InterventionsResult) -> str:
    """Every kind of intervention at matched change of behavior."""
    (table,) = model_tables(result)
    return _section(
        f"Interventions at matched change, on {table.behavior}",
        [
            f"Matched: flips at least {result.target:.0%} of the selection prompts; figures are of"
            f" {table.n} confirmation prompts and generic text ([columns](effects.md)).",
            "",
            *table.lines,
        ],
    )


def detector_section(result: DetectorResult) -> str:
    """One neuron as a detector beside a probe and a bag of words."""
    rows = [
        (each.detector, *map(_estimate, (each.auroc, each.accuracy, each.tpr_at_5)))
        for each in result.detectors
    ]
    sheet = Sheet(("detector", "AUROC (95 %)", "accuracy", "TPR at 5 % FPR"), rows)
    prompts = f"{result.score.positive} positive and {result.score.negative} negative prompts"
    return _section(
        f"{result.neuron} as a detector",
        [f"Fitted on {result.fit.name}; scored on {prompts}.", "", *sheet.markdown()],
    )


def effects_section(result: EffectsResult) -> str:
    """What the edit of the best neuron does besides."""
    first = result.sets[0]
    rows = [*_paired(first.figures), *_paired(result.figures), *_paired(result.tasks)]
    sheet = Sheet(("figure", "without", "with", "difference (95 %)", "items"), rows)
    return _section(
        f"What {', '.join(result.recipe.edits)} does besides",
        [
            f"{first.name} at {first.horizon} tokens, other text, and the tasks of"
            " `examples/tasks`; KL on generic text"
            f" {result.kl_per_token:.3f} nats a token.",
            "",
            *sheet.markdown(),
        ],
    )


def exemplars_section(result: ExemplarsResult) -> str:
    """Where the best neurons act most and least in this project's own pages."""
    rows = [
        (row.neuron, row.pole, f"{row.activation:.2f}", f"{row.before[-40:]}**{row.peak}**")
        for row in result.rows
        if row.rank < SHOWN and row.pole != "random"
    ]
    files = ", ".join(text.file for text in result.texts)
    cells = [tuple(" ".join(cell.replace("|", "/").split()) for cell in row) for row in rows]
    return _section(
        "Where these neurons act",
        [
            f"{result.windows} windows of {files}.",
            "",
            *Sheet(("neuron", "pole", "activation", "at"), cells).markdown(),
        ],
    )


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _estimate(estimate: DetectorEstimate) -> str:
    return f"{fixed(estimate.value)} ({fixed(estimate.low)}-{fixed(estimate.high)})"


def _paired(figures: Mapping[str, Paired]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            fixed(each.clean, 3),
            fixed(each.edited, 3),
            "-"
            if each.difference is None
            else f"{each.difference:+.3f} ({each.low:+.3f} to {each.high:+.3f})",
            str(each.n),
        )
        for name, each in figures.items()
    ]
