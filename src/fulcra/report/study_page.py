"""A registered study as a page and a table: what was wanted, what was found, group by group."""

from statistics import quantiles
from typing import TYPE_CHECKING

from rich.console import Group as Lines
from rich.text import Text

from fulcra.report.beside_sheets import beside_sheets
from fulcra.report.depth_answers import answers_sheet
from fulcra.report.depth_sheets import depth_sheets
from fulcra.report.notation import UNKNOWN, fixed, gain, margin, number
from fulcra.report.sheet import Sheet
from fulcra.report.study_figures import CEILINGS, CHANCES, HELD_OUT, drawing
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.bounded import Bounded
    from fulcra.protocol.results.study import Group, StudyResult

TEMPLATE = "study.md"
#: How the name of a group begins that some lineages or models are left out of.
PART = "without "
MARKS = {True: "yes", False: "**no**", None: "undecided"}


def study_table(study: "StudyResult") -> Lines:
    """The targets of a study in the terminal."""
    marks = {True: "yes", False: "no", None: "undecided"}
    rows = [(each.claim, each.found, marks[each.met]) for each in study.targets]
    title = f"{study.design.name}, registered as entry {study.registered.number}"
    return Lines(Text(title, "bold"), Sheet(("wanted", "measured", "met"), rows, even=True).rich())


def study_page(study: "StudyResult") -> str:
    """The page of a study, every figure from its file; parts of the lineages stand at its end."""
    parts = [name for name in study.groups if name.startswith(PART)]
    shown = [name for name in study.groups if name not in parts]
    return filled(
        TEMPLATE,
        study=study,
        held_out=study.groups.get(HELD_OUT),
        targets=targets_sheet(study).markdown(),
        answers=_answers(study),
        bins=bins_sheet(study).markdown() if HELD_OUT in study.groups else [],
        triggers=triggers_sheet(study).markdown() if HELD_OUT in study.groups else [],
        tables=_tables(_only(study, shown)),
        without=_tables(_only(study, parts)) if parts else {},
        protocol=protocol_sheet(study).markdown(),
        ceilings_drawn=drawing(study, CEILINGS),
        chances_drawn=drawing(study, CHANCES),
    )


def _only(study: "StudyResult", names: list[str]) -> "StudyResult":
    """The study with the figures of some groups."""
    groups = {name: study.groups[name] for name in names}
    depth = {name: study.depth[name] for name in names if name in study.depth}
    beside = {name: study.beside[name] for name in names if name in study.beside}
    return study.model_copy(update={"groups": groups, "depth": depth, "beside": beside})


def _answers(study: "StudyResult") -> list[str]:
    """The questions beneath the law, answered on the held-out lineages."""
    depth = study.depth.get(HELD_OUT)
    return [] if depth is None else answers_sheet(depth).markdown()


def _tables(study: "StudyResult") -> dict[str, list[str]]:
    """Every table that has a row a group, in Markdown, by its name in the template."""
    sheets = {
        "ceilings": ceilings_sheet(study),
        "levels": levels_sheet(study),
        "ranks": ranks_sheet(study),
        "chances": chances_sheet(study),
        "calibration": calibration_sheet(study),
        "modes": modes_sheet(study),
    }
    tables = {name: sheet.markdown() for name, sheet in sheets.items()}
    return tables | depth_sheets(study) | beside_sheets(study)


def targets_sheet(study: "StudyResult") -> Sheet:
    """What was wanted, what was measured, and whether it is met."""
    rows = [(each.claim, each.found, MARKS[each.met]) for each in study.targets]
    return Sheet(("wanted of the held-out lineages", "measured", "met"), rows)


def ceilings_sheet(study: "StudyResult") -> Sheet:
    """The errors of every predictor, group by group."""
    rows = [
        (
            name,
            method,
            fixed(score.mae, 3),
            UNKNOWN if score.low is None else f"{fixed(score.low, 3)}-{fixed(score.high, 3)}",
            fixed(score.mae_log2),
            margin(score.bias_log2),
            str(score.n),
            fixed(group.ceilings.noise.floor, 3),
            fixed(group.ceilings.kl_at_ceiling.median),
        )
        for name, group in study.groups.items()
        if group.ceilings is not None
        for method, score in group.ceilings.scores.items()
    ]
    columns = ("lineages", "method", "MAE", "95 %", "log2", "bias", "n", "noise", "nats at ceiling")
    return Sheet(columns, rows, numbers=columns[2:])


def levels_sheet(study: "StudyResult") -> Sheet:
    """How every level ranks and calls drawn branches, group by group."""
    rows = [
        (
            name,
            level,
            fixed(score.auroc, 3),
            _between(group.verdicts.ranks.get(level)),
            fixed(score.auroc_decided, 3),
            fixed(score.natural.auroc, 3),
            number(score.accuracy),
            number(score.majority_baseline),
            f"{score.open} of {score.n}, {score.decided} decided",
        )
        for name, group in study.groups.items()
        if group.verdicts is not None
        for level, score in group.verdicts.levels.items()
    ]
    columns = (
        *("lineages", "level", "AUROC", "95 %", "of decided", "weighed"),
        *("accuracy", "majority", "open"),
    )
    return Sheet(columns, rows, numbers=columns[2:])


def ranks_sheet(study: "StudyResult") -> Sheet:
    """L3 beside the measured trigger alone, and between branches of one case."""
    rows = [
        (
            name,
            fixed(group.verdicts.ranks["L3"].value, 3),
            fixed(group.verdicts.ranks["trigger"].value, 3),
            _between(group.verdicts.ranks["trigger"]),
            number(group.verdicts.over_trigger_p),
            fixed(group.verdicts.within, 3),
        )
        for name, group in study.groups.items()
        if group.verdicts is not None
    ]
    columns = ("lineages", "L3", "trigger alone", "95 %", "p that L3 adds nothing", "within a case")
    return Sheet(columns, rows, numbers=columns[1:])


def _between(figure: "Bounded | None") -> str:
    """The interval of a figure in words."""
    if figure is None or figure.low is None:
        return UNKNOWN
    return f"{fixed(figure.low, 3)}-{fixed(figure.high, 3)}"


def chances_sheet(study: "StudyResult") -> Sheet:
    """What ranks the branches that open, group by group."""
    rows = [row for name, group in study.groups.items() for row in _ranked(name, group)]
    columns = ("lineages", "ranked by", "AP", "95 %", "AUROC")
    return Sheet(columns, rows, numbers=columns[2:])


def _ranked(name: str, group: "Group") -> list[tuple[str, ...]]:
    if group.verdicts is None:
        return []
    chance = group.verdicts.chance
    every = {"**chances**": chance} | group.verdicts.rivals
    return [
        (
            name,
            title,
            fixed(each.average_precision, 3),
            UNKNOWN if each.low is None else f"{fixed(each.low, 3)}-{fixed(each.high, 3)}",
            fixed(each.auroc, 3),
        )
        for title, each in every.items()
    ]


def calibration_sheet(study: "StudyResult") -> Sheet:
    """How far the chances can be taken at their word, group by group."""
    rows = [
        (
            name,
            fixed(group.verdicts.ratio.value),
            _between(group.verdicts.ratio),
            number(group.verdicts.chance.calibration_error),
            number(group.verdicts.chance.likely_error),
            number(group.verdicts.chance.log_loss),
            number(group.verdicts.chance.brier),
            number(group.verdicts.chance.brier_p),
            number(group.verdicts.case_brier_p),
            fixed(group.verdicts.chance.precision_32),
        )
        for name, group in study.groups.items()
        if group.verdicts is not None
    ]
    columns = (
        *("lineages", "forecast / observed", "95 %", "calibration error", "from .1 on"),
        *("log loss", "Brier", "p", "p by case", "precision at 32"),
    )
    return Sheet(columns, rows, numbers=columns[1:])


def bins_sheet(study: "StudyResult") -> Sheet:
    """The calibration curve of the held-out lineages: chances beside what opened, bin by bin."""
    group = study.groups[HELD_OUT]
    bins = () if group.verdicts is None else group.verdicts.chance.bins
    rows = [
        (f"{part.low:g} to {part.high:g}", number(part.mean), number(part.rate), str(part.n))
        for part in bins
    ]
    columns = ("chance", "mean chance", "share observed open", "branches")
    return Sheet(columns, rows, numbers=columns[1:])


def modes_sheet(study: "StudyResult") -> Sheet:
    """Prevalence, and why closed branches are closed, group by group and weighed to the pools."""
    modes = ("collapse_first", "too_late", "norm_capped")
    rows = [
        (
            name,
            str(group.verdicts.n),
            str(group.verdicts.open),
            f"{100 * group.verdicts.prevalence:.2f}%",
            *(f"{100 * group.verdicts.modes.get(mode, 0.0):.0f}%" for mode in modes),
        )
        for name, group in study.groups.items()
        if group.verdicts is not None
    ]
    words = (mode.replace("_", " ") for mode in modes)
    columns = ("lineages", "measured", "open", "prevalence", *words)
    return Sheet(columns, rows, numbers=columns[1:])


def triggers_sheet(study: "StudyResult") -> Sheet:
    """Where what opened is triggered, behavior by behavior in every world, held-out lineages."""
    own = dict.fromkeys(row.behavior.partition("@")[0] for row in study.rows.verdicts)
    opened = {behavior: study.opened(behavior) for behavior in own}
    rows = [
        (behavior, str(len(gains)), *(gain(value) for value in quantiles(gains, n=4)))
        for behavior, gains in opened.items()
        if len(gains) > 1
    ]
    columns = ("behavior", "open", "lower quarter", "median trigger [gain]", "upper quarter")
    return Sheet(columns, rows, numbers=columns[1:])


def protocol_sheet(study: "StudyResult") -> Sheet:
    """Whether the protocol held, case by case."""
    rows = [
        (
            row.lineage,
            row.name,
            "yes" if row.reproduced else "**no**",
            number(row.baseline),
            number(row.positive_control.rate),
            row.commitment_sha256[:16],
        )
        for row in study.protocol
    ]
    return Sheet(("lineage", "case", "held", "baseline", "control", "commitment"), rows)
