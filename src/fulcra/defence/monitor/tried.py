"""A monitor under trial: what every part of the trial shares, and alarms counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.defence.monitor.attacks import Attacked, Doser
from fulcra.defence.monitor.calibration import APART, Calibration
from fulcra.defence.monitor.statistics import STATISTICS, Scores, scores
from fulcra.defence.monitor.traffic import Traffic, rolled_windows
from fulcra.formulas.intervals import wilson
from fulcra.models import Model
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.monitor import Alarms, Share
from fulcra.types import Edits

GAINS = (0.05, 0.1, 0.2, 0.3, 0.45)


class TrialSettings(NamedTuple):
    """Windows of clean text, of each domain and of each dose; neurons dosed; pairs of decodes."""

    clean: int = 200
    domain: int = 50
    dosed: int = 8
    neurons: int = 8
    gains: tuple[float, ...] = GAINS
    pairs: int = 16
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A monitor under trial: its requests, the neurons that are dosed, the settings, a clock."""

    doser: Doser
    calibration: Calibration
    traffic: Traffic
    targets: tuple[Attacked, ...]
    settings: TrialSettings
    clock: Clock

    @property
    def model(self) -> Model:
        """The model that is dosed and watched."""
        return self.doser.model

    def scores(self, windows: Tensor) -> Scores:
        """The statistics of windows, by the calibration under trial."""
        return scores(self.model, self.calibration.norms, windows)

    def alarms(self, windows: Sequence[Scores]) -> Alarms:
        """How many windows are above each threshold."""
        held = [each.values for each in windows]
        over = torch.cat(held or [torch.zeros(0, len(STATISTICS))]) > self.calibration.thresholds
        shares = (share(int(column.sum()), len(over)) for column in over.T)
        return Alarms(**dict(zip(STATISTICS, shares, strict=True)))

    def rolled(self, edits: Edits, target: int) -> Scores:
        """The statistics of windows of replies rolled out under edits of one of the targets.

        Openings and random numbers are the same at every gain.
        """
        count, seed = self.settings.dosed, self.settings.seed + (3 + target) * APART
        return self.scores(rolled_windows(self.model, self.traffic, count, seed, edits).windows)


def share(alarms: int, n: int) -> Share:
    """A count of alarms with its Wilson interval."""
    rate = wilson(alarms, n)
    return Share(alarms=alarms, n=n, rate=rate.value, low=rate.low, high=rate.high)
