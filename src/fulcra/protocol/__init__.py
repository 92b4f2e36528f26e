"""What is rolled out in a measurement, and the record that stays of it."""

from fulcra.protocol.records import Record, outcome_rates
from fulcra.protocol.redaction import Told, text_hash, told
from fulcra.protocol.trials import Trial, dose_trials, pin_trials, prefill_trials, set_trials

__all__ = [
    "Record",
    "Told",
    "Trial",
    "dose_trials",
    "outcome_rates",
    "pin_trials",
    "prefill_trials",
    "set_trials",
    "text_hash",
    "told",
]
