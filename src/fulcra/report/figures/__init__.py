"""The plotly figures of a report, one file each; every one takes the audit's values as they
stand.
"""

from fulcra.report.figures.attack_cost import attack_cost
from fulcra.report.figures.dose_response import DOSE_KEYS, dose_response
from fulcra.report.figures.pin_response import pin_response
from fulcra.report.figures.saturation import SATURATION_KEYS, Mark, saturation
from fulcra.report.figures.style import RATE_KEYS, Key
from fulcra.report.figures.typed_outcomes import outcome_keys, typed_outcomes
from fulcra.report.figures.window_chart import window_chart, window_keys

__all__ = [
    "DOSE_KEYS",
    "RATE_KEYS",
    "SATURATION_KEYS",
    "Key",
    "Mark",
    "attack_cost",
    "dose_response",
    "outcome_keys",
    "pin_response",
    "saturation",
    "typed_outcomes",
    "window_chart",
    "window_keys",
]
