"""What stands beside a design, on planted chances: learned elsewhere, three ends, what k hold."""

import pytest

from fulcra.backtest.registered import SECOND, read_design
from fulcra.backtest.registered_beside import grouped_beside
from fulcra.protocol.results.chances import ModelChances
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.study import Beside, StudyCases
from fulcra.protocol.results.validation import ProtocolRow, VerdictRow
from fulcra.types import Neuron
from tests.backtest.test_chance_scores import planted


def drawn(chances: ModelChances) -> list[VerdictRow]:
    """The branches of a planted case, all of which were measured."""
    return [
        VerdictRow.model_construct(
            lineage=chances.model.name,
            model=chances.model.name,
            behavior=chances.behavior.name,
            branch=row.branch,
            neuron=Neuron.parse(row.branch).site,
            weight=row.weight,
            observed_open=row.end == "open",
        )
        for row in chances.rows
    ]


def figures(seeds: tuple[int, ...], reproduced: bool = True) -> dict[str, Beside]:
    """The figures of one lineage for each seed; the protocol of the last held or not."""
    cases = [planted(seed, 120) for seed in seeds]
    names = [each.model.name for each in cases]
    lineages = tuple(Lineage(name=n, recipe="r", verdicts={n: ("refusal",)}) for n in names)
    design = read_design(SECOND).model_copy(update={"held_out": lineages, "apart": ()})
    protocol = [
        ProtocolRow.model_construct(
            model=name, behavior="refusal", reproduced=reproduced or name != names[-1]
        )
        for name in names
    ]
    rows = StudyCases.model_construct(
        ceilings=(),
        verdicts=tuple(row for each in cases for row in drawn(each)),
        chances=tuple(cases),
    )
    return grouped_beside(design, rows, protocol, [])


@pytest.fixture(scope="module")
def beside() -> dict[str, Beside]:
    return figures((0, 1, 2))


def test_rivals_learn_on_the_other_lineages(beside: dict[str, Beside]) -> None:
    learned = beside["held_out"].learned
    assert list(learned)[:3] == ["chances", "prevalence", "layer"]
    assert learned["chances"].log_loss < learned["prevalence"].log_loss
    assert learned["prevalence"].auroc != 0.5  # the rate of the others differs by lineage
    assert beside["planted-0"].learned["prevalence"].auroc == 0.5
    assert learned["margin"].average_precision == pytest.approx(
        learned["chances"].average_precision, abs=0.1
    )


def test_calls_of_ends_have_intervals_and_the_chances_call_best(
    beside: dict[str, Beside],
) -> None:
    ends = beside["held_out"].ends
    for score in ends.values():
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
    values = {name: score.value or 0.0 for name, score in ends.items()}
    assert max(values, key=lambda name: values[name]) == "chances"


def test_the_likeliest_hold_more_than_their_share(beside: dict[str, Beside]) -> None:
    tops = beside["held_out"].tops
    assert all(top.found >= top.share for top in tops)
    assert tops[0].tokens == tops[0].k * 2 * 16 * 10
    assert beside["held_out"].guards["chance"].called > 0


def test_a_single_lineage_has_nobody_to_learn_from() -> None:
    alone = figures((0,))
    assert set(alone) == {"held_out", "planted-0"}
    assert list(alone["planted-0"].learned) == ["chances"]


def test_a_case_whose_protocol_did_not_hold_is_in_no_figure() -> None:
    assert set(figures((0, 1), reproduced=False)) == {"held_out", "planted-0"}
