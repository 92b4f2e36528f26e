"""What the law was worth on models it had not seen: figures of `fulcra research validate`.

They are those of docs/evidence/validation.json, held-out lineages; a test compares them.
"""

from typing import NamedTuple


class Backtest(NamedTuple):
    """Errors of forecast ceilings and calls of forecast verdicts over held-out lineages."""

    lineages: int
    split: str
    #: kl_ladder: mean error of the ceiling's alignment with its 95 % interval, and in octaves.
    mae: float
    mae_low: float
    mae_high: float
    mae_log2: float
    ceilings: int
    noise_floor: float
    #: L1, both edges forecast: calls of decided branches that are right, with the interval.
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    decided: int
    auroc: float
    majority: float
    targets_met: int
    targets: int


BACKTEST = Backtest(
    lineages=6,
    split="df27dee1b69a62a6",
    mae=0.0535225,
    mae_low=0.0449059,
    mae_high=0.0649756,
    mae_log2=0.237206,
    ceilings=984,
    noise_floor=0.0166847,
    accuracy=0.763485,
    accuracy_low=0.666631,
    accuracy_high=0.846783,
    decided=241,
    auroc=0.946173,
    majority=0.987552,
    targets_met=2,
    targets=6,
)
