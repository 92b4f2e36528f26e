"""Targets are judged as they were set: met at their edge, missed beyond, untested where unknown."""

from fulcra.backtest.targets import targets
from fulcra.protocol.results.split import Lineage, Split
from fulcra.protocol.results.validation import (
    ByBehavior,
    ByLineage,
    CeilingScore,
    MedianNats,
    NoiseFloor,
    ValidationResult,
    VerdictScore,
)


def study(
    mae: float, bulk: float, floor: float, p_value: float | None, nats: list[float | None]
) -> ValidationResult:
    """A study of six held-out lineages, without what no target reads."""
    medians = [MedianNats.model_construct(median=median) for median in nats]
    law = {"auroc": 0.84, "p_value": p_value, "accuracy": 0.8, "majority_baseline": 0.7}
    return ValidationResult.model_construct(
        split=Split(
            development=(),
            held_out=tuple(Lineage(name=f"l{i}", recipe="r") for i in range(6)),
        ),
        ceilings=ByLineage.model_construct(
            held_out={
                "kl_ladder": CeilingScore.model_construct(mae=mae, mae_bulk=bulk),
                "kl_ladder_recalibrated_0": CeilingScore.model_construct(mae=mae),
                "layer_median_8": CeilingScore.model_construct(mae=0.07),
            }
        ),
        noise_floor=ByLineage.model_construct(held_out=NoiseFloor.model_construct(floor=floor)),
        kl_at_ceiling={f"l{i}": median for i, median in enumerate(medians)}
        | {"development": MedianNats.model_construct(median=9.0)},
        verdicts=ByBehavior.model_construct(
            held_out={
                "L3": VerdictScore.model_construct(auroc=0.95),
                "L1": VerdictScore.model_construct(**law),
            }
        ),
    )


NATS = [0.5 + 0.1 * i for i in range(6)]


def met(
    mae: float, bulk: float, floor: float, p_value: float | None, nats: list[float | None] = NATS
) -> list[bool | None]:
    return [target.met for target in targets(study(mae, bulk, floor, p_value, nats))]


def test_every_target_is_judged_by_its_own_numbers() -> None:
    assert met(0.06, 0.05, 0.01, 0.009) == [True, True, True, True, False, True]
    assert met(0.08, 0.05, 0.01, 0.01) == [False, False, True, True, False, False]


def test_an_error_within_the_noise_is_no_error_of_the_prediction() -> None:
    assert met(0.1, 0.1, 0.09, None)[0] is True
    assert met(0.1, 0.1, 0.07, None)[0] is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert met(0.06, 0.05, 0.01, None)[-1] is None
    nothing = ValidationResult.model_construct(
        ceilings=ByLineage(development={}, lineages={}), noise_floor=ByLineage(lineages={})
    )
    assert targets(nothing) == ()


def test_a_lineage_whose_divergence_lies_elsewhere_counts_against_the_level() -> None:
    assert met(0.06, 0.05, 0.01, None, [0.4, *NATS[1:]])[2] is True
    assert met(0.06, 0.05, 0.01, None, [0.4, None, *NATS[2:]])[2] is False
