"""What stands beneath the law, as tables of a study's page, group by group."""

from typing import TYPE_CHECKING

from fulcra.report.notation import UNKNOWN, fixed, rate
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.bounded import Bounded
    from fulcra.protocol.results.depth import CarriedOver, Depth
    from fulcra.protocol.results.study import StudyResult

#: The reasons in the order of their columns, and the units.
REASONS = ("collapse_first", "spread", "unreached", "too_late", "norm_capped")
UNITS = ("gain", "alignment", "dose", "kl")


def depth_sheets(study: "StudyResult") -> dict[str, list[str]]:
    """Every table of the depth of a study, in Markdown, by its name in the template."""
    sheets = {
        "reasons": reasons_sheet(study),
        "tests": tests_sheet(study),
        "poles": poles_sheet(study),
        "units": units_sheet(study),
        "collapse": collapse_sheet(study),
        "behaviors": behaviors_sheet(study),
    }
    return {name: sheet.markdown() for name, sheet in sheets.items()}


def between(figure: "Bounded", digits: int = 2) -> str:
    """A figure with its interval in words."""
    if figure.value is None:
        return UNKNOWN
    if figure.low is None:
        return fixed(figure.value, digits)
    ends = f"{fixed(figure.low, digits)} to {fixed(figure.high, digits)}"
    return f"{fixed(figure.value, digits)} ({ends})"


def _share(figure: "Bounded") -> str:
    """A share with its interval in percent."""
    if figure.low is None:
        return rate(figure.value)
    return f"{rate(figure.value)} ({rate(figure.low)}\N{EN DASH}{rate(figure.high)})"


def reasons_sheet(study: "StudyResult") -> Sheet:
    """The weighed share of every reason among closed branches."""
    rows = [
        (
            name,
            str(depth.reasons.n),
            *(
                _share(share)
                for reason in REASONS
                for key, share in depth.reasons.shares.items()
                if key == reason
            ),
        )
        for name, depth in study.depth.items()
        if depth.reasons.n
    ]
    words = (reason.replace("_", " ") for reason in REASONS)
    columns = ("lineages", "closed", *words)
    return Sheet(columns, rows, numbers=columns[1:])


def tests_sheet(study: "StudyResult") -> Sheet:
    """Whether three of the reasons are what they say."""
    rows = [
        (
            name,
            f"{_share(depth.reasons.collapsed)}, n = {depth.reasons.tested['collapse_first']}",
            f"{_share(depth.reasons.unchanged)}, n = {depth.reasons.tested['norm_capped']}",
            f"{between(depth.reasons.deeper)}, n = {depth.reasons.tested['too_late']}",
        )
        for name, depth in study.depth.items()
        if depth.reasons.n
    ]
    columns = (
        "lineages",
        "collapse first: replies collapsed",
        "norm capped: replies unchanged",
        "too late: AUROC of depth",
    )
    return Sheet(columns, rows, numbers=columns[1:])


def poles_sheet(study: "StudyResult") -> Sheet:
    """What one pole of a neuron tells of the other."""
    rows = [
        (
            name,
            f"{between(poles.ceilings)}, n = {poles.pairs}",
            between(poles.over_layer),
            f"{between(poles.triggers.rho)}, n = {poles.triggers.pairs}",
            f"{between(poles.triggers.lift)}, n = {poles.triggers.opened}",
            f"{poles.single}, {poles.double} of {poles.drawn}",
        )
        for name, poles in ((name, depth.poles) for name, depth in study.depth.items())
    ]
    columns = (
        *("lineages", "ceilings: rho", "better than the layer", "forecast odds: rho"),
        *("other pole's chance", "opened on one pole, on both"),
    )
    return Sheet(columns, rows, numbers=columns[1:])


def units_sheet(study: "StudyResult") -> Sheet:
    """How far levels in every unit are off on other prompts."""
    rows = [row for name, depth in study.depth.items() for row in _units(name, depth)]
    columns = ("lineages", "level of", "n", "unit", "error", "more than alignment's")
    return Sheet(columns, rows, numbers=("n", "error", "more than alignment's"))


def _units(name: str, depth: "Depth") -> list[tuple[str, ...]]:
    figures = depth.coordinates
    if not figures.n:
        return []
    own = (name, "its own ceiling", str(figures.n), UNKNOWN, between(figures.own), UNKNOWN)
    levels = {"other neurons": figures.within, "other lineages": figures.across}
    return [
        own,
        *(
            (name, level, str(figures.n), unit, between(each.error), _over(each))
            for level, carried in levels.items()
            for unit, each in carried.items()
        ),
    ]


def _over(carried: "CarriedOver") -> str:
    return UNKNOWN if carried.over_alignment is None else between(carried.over_alignment)


def collapse_sheet(study: "StudyResult") -> Sheet:
    """The gain at collapse, and how much ceilings differ in five units."""
    rows = [
        (
            name,
            f"{fixed(gain.median)} ({fixed(gain.low)} to {fixed(gain.high)}), n = {gain.n}",
            *(fixed(spread.within_model) for spread in depth.coordinates.spread.values()),
            between(depth.coordinates.late),
        )
        for name, depth in study.depth.items()
        if (gain := depth.coordinates.collapse).n
    ]
    units = ("activation", "write length", "gain", "alignment", "kl")
    columns = ("lineages", "gain at collapse", *units, "ceiling later than replies")
    return Sheet(columns, rows, numbers=columns[1:])


def behaviors_sheet(study: "StudyResult") -> Sheet:
    """What the window of one behavior tells of another's."""
    rows = [
        (
            name,
            f"{between(figures.forecast.rho)}, n = {figures.forecast.pairs}",
            f"{between(figures.forecast.lift)}, n = {figures.forecast.opened}",
            f"{between(figures.ceilings)}, n = {figures.ceiling_pairs}",
            f"{between(figures.triggers)}, n = {figures.trigger_pairs}",
            between(figures.apart) if figures.decided else "undecided",
        )
        for name, figures in ((name, depth.behaviors) for name, depth in study.depth.items())
        if figures.forecast.pairs
    ]
    columns = (
        *("lineages", "forecast odds: rho", "other behavior's chance", "ceilings, octaves"),
        *("triggers, octaves", "triggers less ceilings"),
    )
    return Sheet(columns, rows, numbers=columns[1:])
