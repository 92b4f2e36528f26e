"""A registered study as a page and a table: what was wanted, what was found, group by group."""

from typing import TYPE_CHECKING

from rich.console import Group as Lines
from rich.text import Text

from fulcra.report.notation import UNKNOWN, fixed, margin, number
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.study import Group, StudyResult

TEMPLATE = "study.md"
HELD_OUT = "held_out"
MARKS = {True: "yes", False: "**no**", None: "not tested"}


def study_table(study: "StudyResult") -> Lines:
    """The targets of a study in the terminal."""
    marks = {True: "yes", False: "no", None: "not tested"}
    rows = [(each.claim, each.found, marks[each.met]) for each in study.targets]
    title = f"{study.design.name}, registered as entry {study.registered.number}"
    return Lines(Text(title, "bold"), Sheet(("wanted", "measured", "met"), rows, even=True).rich())


def study_page(study: "StudyResult") -> str:
    """The page of a study, every figure from its file."""
    return filled(
        TEMPLATE,
        study=study,
        targets=targets_sheet(study).markdown(),
        ceilings=ceilings_sheet(study).markdown(),
        levels=levels_sheet(study).markdown(),
        chances=chances_sheet(study).markdown(),
        modes=modes_sheet(study).markdown(),
        protocol=protocol_sheet(study).markdown(),
    )


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
            f"{fixed(score.low, 3)}-{fixed(score.high, 3)}",
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
    """The calls of every level, group by group."""
    rows = [
        (
            name,
            level,
            fixed(score.auroc, 3),
            fixed(score.natural.auroc, 3),
            number(score.accuracy),
            number(score.majority_baseline),
            f"{score.open} of {score.n}",
        )
        for name, group in study.groups.items()
        if group.verdicts is not None
        for level, score in group.verdicts.levels.items()
    ]
    columns = ("lineages", "level", "AUROC", "weighed", "accuracy", "majority", "open")
    return Sheet(columns, rows, numbers=columns[2:])


def chances_sheet(study: "StudyResult") -> Sheet:
    """What ranks the branches that open, group by group."""
    rows = [row for name, group in study.groups.items() for row in _ranked(name, group)]
    columns = ("lineages", "ranked by", "AP", "95 %", "AUROC", "calibration error", "Brier p")
    return Sheet(columns, rows, numbers=columns[2:])


def _ranked(name: str, group: "Group") -> list[tuple[str, ...]]:
    if group.verdicts is None:
        return []
    chance = group.verdicts.chance
    first = (
        name,
        "**chances**",
        fixed(chance.average_precision, 3),
        f"{fixed(chance.low, 3)}-{fixed(chance.high, 3)}",
        fixed(chance.auroc, 3),
        number(chance.calibration_error),
        number(chance.brier_p),
    )
    rivals = [
        (
            name,
            rival,
            fixed(each.average_precision, 3),
            f"{fixed(each.low, 3)}-{fixed(each.high, 3)}",
            fixed(each.auroc, 3),
            UNKNOWN,
            UNKNOWN,
        )
        for rival, each in group.verdicts.rivals.items()
    ]
    return [first, *rivals]


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
