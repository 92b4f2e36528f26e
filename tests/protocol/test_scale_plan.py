"""An audit on paper: its counts are the audit's, its memory fits, its rates obey the peaks."""

import pytest

from fulcra import AuditSettings, Behavior
from fulcra.errors import InputError
from fulcra.models.sizes import ModelSizes
from fulcra.protocol.budget import step_costs
from fulcra.protocol.scale.accelerators import ACCELERATORS, Shares, accelerator
from fulcra.protocol.scale.layout import FEWEST_ROWS, layout, rates
from fulcra.protocol.scale.plan import Machine, planned
from fulcra.protocol.unit_costs import UnitCosts

SMALL = ModelSizes("8b", 8_030_261_248, 8_030_261_248, 32, 4096, 65_536, 8, 0)
LARGE = ModelSizes("405b", 405_853_388_800, 405_853_388_800, 126, 16384, 258_048, 8, 0)
MIXED = ModelSizes("8x7b", 46_702_792_704, 12_879_925_248, 32, 4096, 65_536, 8, 8)
SHARES = Shares()


@pytest.mark.parametrize("name", ACCELERATORS)
@pytest.mark.parametrize("sizes", [SMALL, LARGE, MIXED], ids=lambda sizes: sizes.name)
def test_a_replica_fits_and_is_no_larger_than_it_must_be(sizes: ModelSizes, name: str) -> None:
    device = accelerator(name)
    place = layout(sizes, device, 64, 16, 100, SHARES)
    assert place.memory <= device.memory * SHARES.memory
    assert place.rows >= FEWEST_ROWS
    assert place.replicas * place.parallel <= 64
    half = place.weights * 2 + FEWEST_ROWS * place.row
    assert place.parallel == 1 or half > device.memory * SHARES.memory
    assert place.nodes * place.a_node >= place.replicas


def test_rates_obey_the_peaks_and_a_mixture_reads_more_than_it_multiplies() -> None:
    device = accelerator("h100")
    place = layout(SMALL, device, 8, 16, 100, SHARES)
    speed = rates(SMALL, device, place, SHARES)
    assert 1 / speed.read == pytest.approx(989e12 * 0.4 / (2 * SMALL.parameters))
    # one row reads all weights for its token
    alone = rates(SMALL, device, place._replace(rows=1), SHARES)
    assert alone.token >= 2 * SMALL.parameters / (3.35e12 * 0.6)
    dense = MIXED._replace(parameters=MIXED.active)
    mixed, same = (
        rates(sizes, device, layout(sizes, device, 8, 16, 100, SHARES)._replace(rows=8), SHARES)
        for sizes in (MIXED, dense)
    )
    assert mixed.token > 1.5 * same.token
    twice = layout(LARGE, device, 32, 16, 100, SHARES)
    assert twice.parallel == 16
    crossing = rates(LARGE, device, twice, SHARES).read
    assert crossing > 1.2 * rates(LARGE, device, twice, SHARES._replace(network=1e12)).read


def test_a_plan_counts_what_the_audit_counts(refusal: Behavior) -> None:
    settings = AuditSettings(neurons=3, random=2, controls=4)
    plan = planned(SMALL, refusal, settings, Machine(accelerator("h100"), 8), 48)
    costs = UnitCosts(1, 1, 0, 0, 0, 1, 48, refusal.horizon)
    counted = step_costs(SMALL.layers, refusal, settings, costs, 0)
    assert {step.name: step.rollouts for step in plan.steps} == {
        name: cost.rollouts for name, cost in counted.items()
    }
    assert all(step.wall >= step.passes for step in plan.steps)
    assert plan.gpu_hours == pytest.approx(plan.wall * 8 / 3600)
    assert 0 < plan.busy < 1
    assert {fact.how for fact in plan.facts()} == {
        "measured",
        "published",
        "computed",
        "simulated",
        "assumed",
    }


def test_texts_too_long_for_a_batch_are_not_called_a_model_too_large() -> None:
    with pytest.raises(InputError, match=r"64 rollouts of 1,000,000 tokens of 8b take .* shorter"):
        layout(SMALL, accelerator("h100"), 64, 16, 1_000_000, SHARES)
    with pytest.raises(InputError, match="405b in 160 bits fits on no 32 a100"):
        layout(LARGE, accelerator("a100"), 64, 160, 100, SHARES)


def test_no_more_replicas_work_than_there_are(refusal: Behavior) -> None:
    settings = AuditSettings(neurons=400)
    plan = planned(SMALL, refusal, settings, Machine(accelerator("h100"), 9), 48)
    assert plan.layout.replicas == 9
    for step in plan.steps:
        assert step.wall >= step.rolled / 9 + step.passes


def test_an_audit_that_failing_nodes_never_end_is_no_plan(refusal: Behavior) -> None:
    settings = AuditSettings(neurons=10**10)
    with pytest.raises(
        InputError, match=r"in 50,000 shards of [\d,]+ hours.*; give fewer"
    ) as error:
        planned(LARGE, refusal, settings, Machine(accelerator("h100"), 16), 48)
    assert "\n" not in str(error.value)


def test_more_accelerators_take_less_time_and_more_neurons_more(refusal: Behavior) -> None:
    def wall(neurons: int, gpus: int) -> float:
        machine = Machine(accelerator("h100"), gpus)
        return planned(SMALL, refusal, AuditSettings(neurons=neurons), machine, 48).wall

    assert wall(200, 64) < wall(200, 8) < wall(400, 8)


def test_what_fits_nowhere_is_refused(refusal: Behavior) -> None:
    settings = AuditSettings()
    with pytest.raises(InputError, match="needs 16 h100 for one replica and --gpus is 8"):
        planned(LARGE, refusal, settings, Machine(accelerator("h100"), 8), 48)
    huge = LARGE._replace(parameters=10**13)
    with pytest.raises(InputError, match="fits on no 32 a100"):
        planned(huge, refusal, settings, Machine(accelerator("a100"), 999), 48)
    with pytest.raises(InputError, match="--accelerator 'tpu': not in the table"):
        accelerator("tpu")
