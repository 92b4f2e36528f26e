"""A calibrated monitor of the bundled organism, its requests, and who doses it."""

import pytest

from fulcra import Behavior, Model
from fulcra.defence.monitor.attacks import Doser
from fulcra.defence.monitor.calibration import Calibration, CalibrationSettings, calibrate
from fulcra.defence.monitor.traffic import Openings, Traffic


@pytest.fixture(scope="session")
def calibration(sparse: Model, refusal: Behavior) -> Calibration:
    return calibrate(sparse, refusal, CalibrationSettings(windows=24, rate=0.05, seed=1))


@pytest.fixture(scope="session")
def traffic(refusal: Behavior) -> Traffic:
    return Traffic(Openings.of(refusal).trial, refusal.system)


@pytest.fixture(scope="session")
def doser(sparse: Model, refusal: Behavior) -> Doser:
    return Doser.of(sparse, refusal.generic, refusal.system, 0)
