"""Targets are judged as they were set: met at their edge, missed beyond it, untested without
figures.
"""

from typing import Any

from fulcra.backtest.targets import targets


def study(mae: float, bulk: float, floor: float, p_value: float | None) -> dict[str, Any]:
    return {
        "split": {"held_out": [{"name": f"l{i}"} for i in range(6)]},
        "ceilings": {
            "held_out": {
                "kl_ladder": {"mae": mae, "mae_bulk": bulk},
                "kl_ladder_recalibrated_0": {"mae": mae},
                "layer_median_8": {"mae": 0.07},
            }
        },
        "noise_floor": {"held_out": {"floor": floor}},
        "kl_at_ceiling": {f"l{i}": {"median": 0.5 + 0.1 * i} for i in range(6)}
        | {"development": {"median": 9.0}},
        "verdicts": {
            "held_out": {
                "L3": {"auroc": 0.95},
                "L1": {
                    "auroc": 0.84,
                    "p_value": p_value,
                    "accuracy": 0.8,
                    "majority_baseline": 0.7,
                },
            }
        },
    }


def met(document: dict[str, Any]) -> list[bool | None]:
    return [target.met for target in targets(document)]


def test_every_target_is_judged_by_its_own_numbers() -> None:
    assert met(study(0.06, 0.05, 0.01, 0.009)) == [True, True, True, True, False, True]
    assert met(study(0.08, 0.05, 0.01, 0.01)) == [False, False, True, True, False, False]


def test_an_error_within_the_noise_is_no_error_of_the_prediction() -> None:
    assert met(study(0.1, 0.1, 0.09, None))[0] is True
    assert met(study(0.1, 0.1, 0.07, None))[0] is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert met(study(0.06, 0.05, 0.01, None))[-1] is None
    assert targets({"ceilings": {"development": {}}}) == []


def test_a_lineage_whose_divergence_lies_elsewhere_counts_against_the_level() -> None:
    document = study(0.06, 0.05, 0.01, None)
    document["kl_at_ceiling"]["l0"]["median"] = 0.4
    assert met(document)[2] is True
    document["kl_at_ceiling"]["l1"]["median"] = None
    assert met(document)[2] is False
