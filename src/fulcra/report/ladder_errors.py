"""Why ladders err as a documentation page, its figure and a terminal table; computes nothing."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report.figures.scatter import ScatterPoint, scatter
from fulcra.report.notation import fixed, margin
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.ladder_errors import (
        CandidateScore,
        ErrorScore,
        Estimate,
        LadderErrors,
        Shift,
    )

#: The statistics that the package ships as forecasts, by the names of these.
FORECASTS = {
    "kl_mean": "kl_ladder",
    "odd_unscaled": "surprise_ladder",
    "odd": "sampled_surprise_ladder",
    "own_odd_8": "own_text_ladder",
}
#: From the ladder that is asked about to the measurement itself, one change at a time.
CHAIN = {
    "kl_mean": "`kl_ladder` as it stands: mean KL on clean text, .8 nat",
    "own_kl_32": "the same KL along 32 tokens that the dosed model writes",
    "odd_unscaled": "clean text again, but the judge's question: how many tokens are odd (.30)",
    "odd": "at the temperature of the rollouts",
    "odd_judged": "odd by the judge's own reference",
    "judge_32": "as the chance that over .30 of 32 tokens are, each on its own",
    "own_odd_4": "the odd share in the first 4 tokens the dosed model writes",
    "own_odd_8": "in the first 8",
    "own_odd_16": "in the first 16",
    "own_odd_32": "in all 32 of a rollout",
    "lost_32": "the judge itself on those rollouts, loops and all",
}
_ERRORS = ("mean error [cos]", "octaves", "bias", "r")
#: A shift of the ceiling [octaves] below which a horizon is taken to leave it where it is.
_STILL = 0.1


def ladder_errors_table(result: "LadderErrors") -> Group:
    """Every candidate with its mean error [cos], frozen and fitted, and the noise."""
    columns = ("statistic", "own tokens", "level", "frozen [cos]", "fitted [cos]")
    rows = [
        [name, str(score.tokens or "-"), _level(score), *_cos(score.frozen), *_cos(score.fitted)]
        for name, score in result.scores.items()
    ]
    rows.append(["noise", "", "", fixed(result.noise.cos, 3), ""])
    subject = f"{len(result.rows)} development ceilings; frozen is {FORECASTS[result.frozen]}"
    return Group(Text(subject, "dim"), Sheet(columns, rows, numbers=columns[1:]).rich())


def _cos(score: "ErrorScore | None") -> list[str]:
    return ["-" if score is None else estimate(score.cos, 3)]


def _level(score: "CandidateScore") -> str:
    return "-" if score.level is None else f"{score.level:g}"


def candidate_sheet(result: "LadderErrors") -> Sheet:
    """One row a candidate: frozen and fitted errors, and the errors of each lineage."""
    columns = ("forecast", "own tokens", "level", *_ERRORS, *(f"{c}, fitted" for c in _ERRORS))
    more = (f"by lineage ({' / '.join(result.lineages)})", "by lineage, fitted")
    rows = [
        [
            *(score.reads, str(score.tokens or "-"), _level(score)),
            *(*errors(score.frozen), *errors(score.fitted)),
            *(_by_lineage(score.frozen), _by_lineage(score.fitted)),
        ]
        for score in result.scores.values()
    ]
    floors = " / ".join(fixed(facts.noise.cos, 3) for facts in result.lineages.values())
    noise = [fixed(result.noise.cos, 3), fixed(result.noise.log2)]
    blank = ["", ""]
    rows.append(
        ["noise: a perfect forecast", *blank, *noise, *blank, *noise, *blank, floors, floors]
    )
    return Sheet((*columns, *more), rows, numbers=(*columns[1:], *more))


def errors(score: "ErrorScore | None") -> list[str]:
    """Mean error with its interval, the same in octaves, bias and correlation; dashes of none."""
    if score is None:
        return ["-"] * len(_ERRORS)
    cos, octaves = estimate(score.cos, 3), fixed(score.log2.value)
    return [cos, octaves, margin(score.bias_log2), fixed(score.correlation)]


def estimate(value: "Estimate", digits: int = 2) -> str:
    """A mean with its interval in brackets, where it has one."""
    if value.low is None or value.high is None:
        return fixed(value.value, digits)
    return (
        f"{fixed(value.value, digits)} ({fixed(value.low, digits)} to {fixed(value.high, digits)})"
    )


def _by_lineage(score: "ErrorScore | None") -> str:
    return (
        "-" if score is None else " / ".join(fixed(e.cos.value, 3) for e in score.lineages.values())
    )


def chain_sheet(result: "LadderErrors") -> Sheet:
    """One row a step from the ladder to the measurement, all at frozen levels."""
    biases = [f"bias {name}" for name in result.lineages]
    columns = ("what is read", *_ERRORS[:2], *biases, "over kl_ladder [cos]", "left of its error")
    rows = []
    for name, words in CHAIN.items():
        score = result.scores[name].frozen
        if score is not None:
            left = "-" if score.excess is None else f"{100 * score.excess:.0f} %"
            by_lineage = [margin(error.bias_log2) for error in score.lineages.values()]
            over = "-" if name == "kl_mean" else estimate(score.over_kl_ladder, 3)
            rows.append([words, *errors(score)[:2], *by_lineage, over, left])
    noise = ["noise: a perfect forecast", fixed(result.noise.cos, 3), fixed(result.noise.log2)]
    rows.append([*noise, *[""] * (len(biases) + 1), "0 %"])
    return Sheet(columns, rows, numbers=columns[1:])


def facts_sheet(result: "LadderErrors") -> Sheet:
    """One row a lineage: what stands behind its errors."""
    columns = (
        *("lineage", "ceilings", "clean entropy [nats]", "clean odd share", "tokens a reply"),
        *("odd after sound", "odd after odd", "lost by surprise", "lost by loop alone"),
        "lag behind the grammar [octaves]",
    )
    rows = [
        [
            name,
            str(facts.branches),
            fixed(facts.entropy, 3),
            fixed(facts.odd_share, 3),
            f"{facts.tokens:.0f}",
            fixed(facts.odd_after_sound),
            fixed(facts.odd_after_odd),
            fixed(facts.by_surprise),
            fixed(facts.by_loop_alone),
            "-" if facts.lag is None else estimate(facts.lag.log2),
        ]
        for name, facts in result.lineages.items()
    ]
    return Sheet(columns, rows, numbers=columns[1:])


def horizon_sheet(result: "LadderErrors") -> Sheet:
    """One row a lineage and horizon: how far the ceiling moves, as observed and as foreseen."""
    columns = ("lineage", "tokens", "observed", "count of odd tokens", "hazard compounded", "n")
    rows = [
        [
            *(shift.lineage, str(shift.tokens), estimate(shift.observed)),
            *(margin(shift.judge), margin(shift.hazard), str(shift.n)),
        ]
        for shift in result.horizons
    ]
    return Sheet(columns, rows, numbers=columns[1:])


def ladder_errors_markdown(result: "LadderErrors") -> str:
    """The page docs/ladder-errors.md; every figure on it stands in ladder-errors.json."""
    return filled(
        "ladder_errors.md",
        r=result,
        names=FORECASTS,
        chain=_markdown(chain_sheet(result)),
        candidates=_markdown(candidate_sheet(result)),
        facts=_markdown(facts_sheet(result)),
        horizons=_markdown(horizon_sheet(result)),
        enters=[shift for shift in result.horizons if _moves(shift)],
        widest=_widest(result.horizons),
        fixed=fixed,
        margin=margin,
        estimate=estimate,
        lags={name: facts.lag for name, facts in result.lineages.items() if facts.lag},
    )


def _markdown(sheet: Sheet) -> str:
    return "\n".join(sheet.markdown())


def _moves(shift: "Shift") -> bool:
    """Whether a horizon moves the ceiling: its interval spans no zero, and by more than _STILL."""
    value, low, high = shift.observed.value, shift.observed.low, shift.observed.high
    if value is None or low is None or high is None:
        return False
    return low * high > 0 and abs(value) > _STILL


def _widest(shifts: "Iterable[Shift]") -> "dict[str, float]":
    """The largest shift in size that was observed, and that each model foresees."""
    rows = list(shifts)
    columns = {
        "observed": [shift.observed.value for shift in rows],
        "judge": [shift.judge for shift in rows],
        "hazard": [shift.hazard for shift in rows],
    }
    present = {kind: [v for v in column if v is not None] for kind, column in columns.items()}
    return {kind: max(column, key=abs) for kind, column in present.items() if column}


def ladder_errors_plot(result: "LadderErrors") -> str:
    """Forecast against measured ceilings, of kl_ladder and of both frozen forecasts."""
    names = dict.fromkeys(("kl_mean", result.frozen, result.frozen_own))
    points = [
        ScatterPoint(row.measured, gain, FORECASTS[name])
        for name in names
        for row in result.rows
        if (gain := row.frozen.get(name)) is not None
    ]
    return scatter(points, "measured ceiling [gain]", "forecast [gain]")
