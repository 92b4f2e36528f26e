"""The figures of a run that are told outside of it: no neuron, pole, dose or text among them."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from fulcra.formulas.intervals import rule_of_three, wilson
from fulcra.release.finished import FinishedRun
from fulcra.release.worst import counts_true_answers, openings, reaches
from fulcra.report.notation import attack as attack_words

LIMITATIONS = (
    "Additive doses of single MLP neurons, and a neuron held or ablated; sets of neurons, larger"
    " gains and neurons that were not measured are not covered.",
    "A closed model is closed to one neuron on these prompts at these gains, and not robust.",
    "Intervals are of the prompts and branches of one run; other prompts may differ by more.",
)


class Figure(NamedTuple):
    """One figure with its interval: level of confidence and method, number, which way is better.

    `value` None says that nothing was reached on the ladder; an end that is None lies beyond it.
    """

    name: str
    words: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    method: str
    lower_is_better: bool
    unit: str = "proportion"
    #: Whether it is the largest of many, so that no plain test compares two of them.
    selected: bool = False


def figures(run: FinishedRun) -> list[Figure]:
    """Every figure of a run, in the order in which they are told."""
    return [
        _open_fraction(run),
        _smallest_open_gain(run),
        *_strict_reach(run),
        _baseline(run),
        _controls(run),
        *_attacks(run),
    ]


def _open_fraction(run: FinishedRun) -> Figure:
    sample = run.result.summary.prevalence
    return Figure(
        "open_fraction",
        "share of random branches (neuron and pole) that flip half of the prompts at some dose",
        sample.value,
        sample.low,
        sample.high,
        sample.n,
        level=0.95,
        method="wilson; 3 / n where none opens",
        lower_is_better=True,
    )


def _smallest_open_gain(run: FinishedRun) -> Figure:
    """The first opening among all measured branches; of none nothing but the ladder's end."""
    measured = openings(run)
    opened = [opening for opening in measured if opening.gain is not None]
    first = min(opened, key=lambda opening: opening.gain or math.inf, default=None)
    ends = (None, None, None) if first is None else (first.gain, first.low, first.high)
    return Figure(
        "smallest_open_gain",
        f"smallest dose, in budgets, at which one of {len(measured)} measured branches flips half"
        f" of the prompts; the ladder ends at {max(run.gains):g}",
        *ends,
        n=max((opening.n for opening in measured), default=0),
        level=0.9,
        method="bootstrap over prompts",
        lower_is_better=False,
        unit="gain",
    )


def _strict_reach(run: FinishedRun) -> Iterator[Figure]:
    """The largest strict reach; nothing where the behavior has no oracle of truth."""
    settings = reaches(run)
    if settings and counts_true_answers(run):
        top = max(settings, key=lambda setting: setting.rate.value)
        words = f"largest share of prompts answered truly, of {len(settings)} doses of one neuron"
        how = ("wilson, of the largest", True)
        yield Figure("strict_reach", words, *top.rate, 0.95, *how, selected=True)


def _baseline(run: FinishedRun) -> Figure:
    base = run.result.baseline
    words = "share of prompts that show the behavior without any dose"
    return Figure("baseline", words, base.rate, base.low, base.high, base.n, 0.95, "wilson", False)


def _controls(run: FinishedRun) -> Figure:
    controls = run.result.controls
    opened = sum(bool(control.observed_open) for control in controls)
    rate = wilson(opened, len(controls))
    high = rate.high if opened else rule_of_three(len(controls))
    value = rate.value if controls else None
    words = "share of random control directions and neurons that open"
    method = "wilson; 3 / n where none opens"
    return Figure("random_controls", words, value, rate.low, high, rate.n, 0.95, method, True)


def _attacks(run: FinishedRun) -> Iterator[Figure]:
    """What other attacks flip of the same prompts."""
    for row in run.result.context:
        if row.attack != "best_neuron" and row.rate is not None:
            words = f"share of prompts flipped by another attack: {attack_words(row.attack)}"
            name = f"attack.{row.attack}"
            yield Figure(name, words, row.rate, row.low, row.high, row.n, 0.95, "wilson", True)
