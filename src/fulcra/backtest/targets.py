"""What was wanted of the law before it was tested, beside what was found.

Set before the study and never moved.
"""

from collections.abc import Mapping

from fulcra.protocol.results.validation import (
    CeilingScore,
    Target,
    ValidationResult,
    VerdictScore,
)

MAE, BULK, NOISE = 0.06, 0.05, 1.25
NATS, LINEAGES = (0.5, 1.1), 5
L3_AUROC, L1_AUROC, P_VALUE = 0.95, 0.85, 0.01


def targets(result: ValidationResult) -> tuple[Target, ...]:
    """Every target on the held-out lineages; none of them where nothing was held out."""
    ceilings, noise = result.ceilings.held_out, result.noise_floor.held_out
    if ceilings is None:
        return ()
    verdicts = result.verdicts.held_out or {}
    medians = [
        result.kl_at_ceiling[lineage.name].median
        for lineage in result.split.held_out
        if lineage.name in result.kl_at_ceiling
    ]
    return (
        _error(ceilings["kl_ladder"], None if noise is None else noise.floor),
        _ranked(ceilings),
        _level(medians),
        _auroc("L3", verdicts.get("L3"), L3_AUROC),
        _auroc("L1", verdicts.get("L1"), L1_AUROC),
        _beaten(verdicts.get("L1")),
    )


def _target(claim: str, numbers: str = "not measured", met: bool | None = None) -> Target:
    return Target(claim=claim, found=numbers, met=met)


def _error(score: CeilingScore, floor: float | None) -> Target:
    mae, bulk = score.mae, score.mae_bulk
    claim = (
        f"kl_ladder: MAE in cos <= {MAE} and <= {BULK} in bulk layers, or <= {NOISE} x the noise"
        " floor"
    )
    if mae is None or bulk is None:
        return _target(claim)
    small, ratio = mae <= MAE and bulk <= BULK, None if not floor else mae / floor
    floors = "no floor" if ratio is None else f"{ratio:.2f} x the floor of {floor:.3f}"
    met = small or (ratio is not None and ratio <= NOISE)
    return _target(claim, f"{mae:.3f}, bulk {bulk:.3f}, {floors}", met)


def _ranked(ceilings: Mapping[str, CeilingScore]) -> Target:
    claim = (
        "kl_ladder: a smaller MAE than layer_median calibrated on 8 other branches, on the same"
        " branches"
    )
    ladder, medians = (
        _mae(ceilings, name) for name in ("kl_ladder_recalibrated_0", "layer_median_8")
    )
    if ladder is None or medians is None:
        return _target(claim)
    return _target(claim, f"{ladder:.3f} against {medians:.3f}", ladder < medians)


def _mae(ceilings: Mapping[str, CeilingScore], method: str) -> float | None:
    return ceilings[method].mae if method in ceilings else None


def _level(medians: list[float | None]) -> Target:
    inside = sum(median is not None and NATS[0] <= median <= NATS[1] for median in medians)
    claim = (
        f"median KL at the measured ceiling within {NATS[0]}-{NATS[1]} nat in at least {LINEAGES}"
        " lineages"
    )
    return _target(claim, f"{inside} of {len(medians)}", inside >= LINEAGES)


def _auroc(level: str, score: VerdictScore | None, wanted: float) -> Target:
    claim = f"{level}: AUROC for observed open >= {wanted}"
    if score is None or score.auroc is None:
        return _target(claim)
    return _target(claim, f"{score.auroc:.3f}", score.auroc >= wanted)


def _beaten(score: VerdictScore | None) -> Target:
    claim = f"L1: accuracy above the majority of each model and behavior, clustered p < {P_VALUE}"
    if score is None or score.p_value is None:
        return _target(claim)
    calls = f"{score.accuracy:.2f} against {score.majority_baseline:.2f}, p {score.p_value:.2g}"
    return _target(claim, calls, score.p_value < P_VALUE)
