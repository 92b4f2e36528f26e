"""A served model held against the calibration of its release, by its stream and not its weights."""

from collections import Counter

from fulcra.defence.monitor.calibration import APART, Calibration
from fulcra.defence.monitor.statistics import STATISTICS, scores
from fulcra.defence.monitor.traffic import Traffic, rolled_windows
from fulcra.defence.monitor.tried import share
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.shapes import unlike
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.monitor import Alarms, ServedResult
from fulcra.protocol.runs import model_entry, named
from fulcra.types import Behavior

SCHEMA_VERSION = 1


def held_against(
    served: Model,
    release: Model,
    calibration: Calibration,
    behavior: Behavior | None = None,
    windows: int = 100,
    seed: int = 0,
) -> ServedResult:
    """Windows of the served model's own text against thresholds and writes of its release.

    Of the served model its stream alone is read. InputError where the calibration is not of the
    release, the two have other shapes, or it was made on text of another behavior.
    """
    calibration.require(release)
    if (served.d_model, unlike(served, release)) != (release.d_model, None):
        raise InputError(
            f"monitor: {served.name} and {release.name} have other shapes, so no stream of one is"
            " held against the other; name the release of the served model"
        )
    openings = calibration.openings(behavior)
    traffic = Traffic(openings.trial, behavior.system if behavior else None)
    read = rolled_windows(served, traffic, windows, seed + 2 * APART).windows
    held = scores(release, calibration.norms, read)
    over = held.values > calibration.thresholds
    shares = [share(int(column.sum()), len(over)) for column in over.T]
    names = Counter(str(held.named(release, i)) for i in over[:, 0].nonzero()[:, 0].tolist())
    threshold = calibration.header.thresholds[0]
    result = ServedResult(
        schema_version=SCHEMA_VERSION,
        command="monitor served",
        model=model_entry(served),
        release=calibration.header.model,
        behavior=None if behavior is None else named(behavior),
        seed=seed,
        bound=threshold.bound,
        calibrated=threshold.n,
        alarms=Alarms(**dict(zip(STATISTICS, shares, strict=True))),
        nearest=names.most_common(1)[0][0] if names else None,
        provenance=Provenance.now(),
    )
    return ServedResult.of(result.plain())
