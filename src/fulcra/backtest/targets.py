"""What was wanted of the law before it was tested, beside what was found; set before the study and
never moved.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

MAE, BULK, NOISE = 0.06, 0.05, 1.25
NATS, LINEAGES = (0.5, 1.1), 5
L3_AUROC, L1_AUROC, P_VALUE = 0.95, 0.85, 0.01


class Target(NamedTuple):
    """One claim in words, with its numbers, and whether it holds; None where it could not be
    tested.
    """

    claim: str
    found: str
    met: bool | None


def targets(document: Mapping[str, Any]) -> list[Target]:
    """Every target on the held-out lineages, from the content of validation.json; none of them
    where nothing was held out.
    """
    ceilings = document["ceilings"].get("held_out")
    if ceilings is None:
        return []
    floor = document["noise_floor"]["held_out"]["floor"]
    held = {lineage["name"] for lineage in document["split"]["held_out"]}
    nats = {name: one["median"] for name, one in document["kl_at_ceiling"].items() if name in held}
    return [
        _error(ceilings["kl_ladder"], floor),
        _ranked(ceilings),
        _level(nats),
        *_calls(document["verdicts"].get("held_out", {})),
    ]


def _error(score: Mapping[str, Any], floor: float | None) -> Target:
    mae, bulk = score["mae"], score["mae_bulk"]
    claim = (
        f"kl_ladder: MAE in cos <= {MAE} and <= {BULK} in bulk layers, or <= {NOISE} x the noise"
        " floor"
    )
    if mae is None or bulk is None:
        return Target(claim, "not measured", None)
    small, ratio = mae <= MAE and bulk <= BULK, None if not floor else mae / floor
    floors = "no floor" if ratio is None else f"{ratio:.2f} x the floor of {floor:.3f}"
    return Target(
        claim,
        f"{mae:.3f}, bulk {bulk:.3f}, {floors}",
        small or (ratio is not None and ratio <= NOISE),
    )


def _ranked(ceilings: Mapping[str, Any]) -> Target:
    claim = (
        "kl_ladder: a smaller MAE than layer_median calibrated on 8 other branches, on the same"
        " branches"
    )
    pair = [
        ceilings.get(name, {}).get("mae") for name in ("kl_ladder_recalibrated_0", "layer_median_8")
    ]
    if None in pair:
        return Target(claim, "not measured", None)
    return Target(claim, f"{pair[0]:.3f} against {pair[1]:.3f}", pair[0] < pair[1])


def _level(nats: Mapping[str, float | None]) -> Target:
    inside = [
        name for name, median in nats.items() if median is not None and NATS[0] <= median <= NATS[1]
    ]
    claim = (
        f"median KL at the measured ceiling within {NATS[0]}-{NATS[1]} nat in at least {LINEAGES}"
        " lineages"
    )
    return Target(claim, f"{len(inside)} of {len(nats)}", len(inside) >= LINEAGES)


def _calls(verdicts: Mapping[str, Any]) -> list[Target]:
    l3, l1 = (verdicts.get(level, {}) for level in ("L3", "L1"))
    return [_auroc("L3", l3, L3_AUROC), _auroc("L1", l1, L1_AUROC), _beaten(l1)]


def _auroc(level: str, score: Mapping[str, Any], wanted: float) -> Target:
    claim, found = f"{level}: AUROC for observed open >= {wanted}", score.get("auroc")
    return (
        Target(claim, "not measured", None)
        if found is None
        else Target(claim, f"{found:.3f}", found >= wanted)
    )


def _beaten(score: Mapping[str, Any]) -> Target:
    claim, p_value = (
        f"L1: accuracy above the majority of each model and behavior, clustered p < {P_VALUE}",
        score.get("p_value"),
    )
    if p_value is None:
        return Target(claim, "not measured", None)
    return Target(
        claim,
        f"{score['accuracy']:.2f} against {score['majority_baseline']:.2f}, p {p_value:.2g}",
        p_value < P_VALUE,
    )
