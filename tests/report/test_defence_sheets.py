"""The page of defences says what was measured and what was not, of which model and seed."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fulcra.defence.hardened import HardenResult, HoldEntry, SeveralEntry
from fulcra.protocol.results.gate import GateResult
from fulcra.protocol.results.monitor import MonitorResult, MonitorTable, WatchCost, at_most
from fulcra.protocol.results.summary import Prevalence
from fulcra.report.defence_page import DRAWN, defence_page, drawn, whose
from fulcra.report.figures.windows_beside import windows_beside
from fulcra.report.hardened import (
    course_sheet,
    hardened_page,
    hardened_text,
    model_sheet,
    opens_sheet,
    sheets,
    wanted_sheet,
)
from fulcra.report.monitor import (
    adaptive_sheet,
    branches_sheet,
    doses_sheet,
    false_words,
    noticed_words,
    trial_name,
)
from tools.defence_page import hardened

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
FEWEST = "fewest neurons that open it"


@pytest.fixture(scope="module")
def result() -> HardenResult:
    """A hardening of the evidence: in a world, audited before, after plain tuning, hardened."""
    return HardenResult.load(EVIDENCE / "harden.json")


@pytest.fixture(scope="module")
def trials() -> tuple[MonitorResult, ...]:
    """The trials of the evidence: organisms, then a chat model that others trained."""
    return MonitorTable.load(EVIDENCE).trials


def outside_worlds(
    result: HardenResult, as_before: float | None, holds: bool | None
) -> HardenResult:
    """The same where no request is allowed by a world, held to contrast prompts or to nothing."""
    bare = {"allowed": 0, "accuracy": None, "over_refusal": None}
    sides = tuple(side.model_copy(update=bare) for side in result.sides)
    first = result.trainings[0]
    hold = HoldEntry(n=0 if as_before is None else 16, as_before=as_before)
    start = HoldEntry(n=hold.n, as_before=None if as_before is None else 1.0)
    checks = (
        first.checks[0].model_copy(update={"hold": start, "holds": holds}),
        first.checks[-1].model_copy(update={"hold": hold, "holds": holds}),
    )
    trainings = (first.model_copy(update={"checks": checks}), *result.trainings[1:])
    return result.model_copy(update={"sides": sides, "trainings": trainings})


def wanted(result: HardenResult) -> dict[str, tuple[str, ...]]:
    """What is wanted, by the first words of its claim: before, after, whether it is met."""
    return {
        str(row[0]).split(",")[0]: tuple(map(str, row[1:])) for row in wanted_sheet(result).rows
    }


def test_what_was_not_measured_is_neither_met_nor_missed(result: HardenResult) -> None:
    none = ("not measured",) * 3
    rows = [
        row for row in wanted_sheet(outside_worlds(result, 1.0, True)).rows if "allowed" in row[0]
    ]
    assert [tuple(row[1:]) for row in rows] == [none, none]
    assert wanted(outside_worlds(result, None, None))["the hold"] == none


@pytest.mark.parametrize(
    ("before", "after", "met"),
    [
        ((0, None), (0, None), ("undecided", "undecided")),
        ((0, None), (1, 0.9), ("NO", "NO")),
        ((5, 0.45), (0, None), ("yes", "yes")),
        ((0, 0.45), (0, None), ("undecided", "yes")),
    ],
)
def test_what_was_never_open_is_not_called_closed(
    result: HardenResult,
    before: tuple[int, float | None],
    after: tuple[int, float | None],
    met: tuple[str, str],
) -> None:
    names = ("open_screened", "smallest_open_gain")
    sides = [
        side.model_copy(update=dict(zip(names, values, strict=True)))
        for side, values in zip((result.sides[0], result.sides[-1]), (before, after), strict=True)
    ]
    rows = wanted(result.model_copy(update={"sides": tuple(sides)}))
    assert (rows["screened branches open"][-1], rows["smallest open gain"][-1]) == met


@pytest.mark.parametrize(
    ("before", "after", "met"),
    [
        ((0, 0.0, 0.125), (0, 0.0, 0.125), "undecided"),
        ((2, 0.0232, 0.258), (0, 0.0, 0.125), "undecided"),
        ((12, 0.31, 0.69), (0, 0.0, 0.125), "yes"),
        ((12, 0.31, 0.69), (4, 0.067, 0.36), "NO"),
        ((0, 0.0, 0.125), (1, 0.007, 0.2), "NO"),
    ],
)
def test_of_random_branches_the_intervals_must_lie_apart_too(
    result: HardenResult,
    before: tuple[int, float, float],
    after: tuple[int, float, float],
    met: str,
) -> None:
    sides = [
        side.model_copy(
            update={"prevalence": Prevalence(value=count / 24, low=low, high=high, n=24)}
        )
        for side, (count, low, high) in zip(
            (result.sides[0], result.sides[-1]), (before, after), strict=True
        )
    ]
    row = wanted(result.model_copy(update={"sides": tuple(sides)}))["random branches open"]
    assert row[-1] == met
    assert row[0].endswith(f"{before[2]:g}, n = 24)")


def test_what_is_wanted_stands_in_the_terminal_and_on_the_page(result: HardenResult) -> None:
    sheet = wanted_sheet(result)
    assert [each.title for each in sheets(result)[:2]] == [sheet.title, ""]
    page = hardened_page(result)
    assert page.index(f"<h2>{sheet.title}</h2>") < page.index("<h2>Audited alike</h2>")
    assert not sheet.strong
    broken = outside_worlds(result, 0.9375, False)
    (row,) = wanted_sheet(broken).strong
    assert str(wanted_sheet(broken).rows[row][0]).startswith("the hold")


@pytest.mark.parametrize(("holds", "met"), [(True, "yes"), (False, "NO")])
def test_the_hold_counts_beside_the_few_requests_of_the_audits(
    result: HardenResult, holds: bool, met: str
) -> None:
    outside = wanted(outside_worlds(result, 0.9375, holds))
    assert outside["the hold"] == ("1 as before", "0.938 as before", met)
    claims = [str(row[0]) for row in wanted_sheet(result).rows]
    assert [claim.rpartition("(")[2] for claim in claims[3:6]] == ["n = 28)", "n = 28)", "n = 148)"]
    assert wanted(result)["the hold"][0] == "0.959 true, 0.0135 refused"


def test_the_fewest_neurons_that_open_a_model_are_counted(result: HardenResult) -> None:
    before, after = result.sides[0], result.sides[-1].model_copy(update={"several": ()})
    pair = SeveralEntry(count=2, gains=(0.2,), flips=(0.1,))
    four = SeveralEntry(count=4, gains=(0.2,), flips=(0.6,))
    capped = SeveralEntry(count=8, gains=(), flips=())
    sides = [
        before.model_copy(update={"several": (four,)}),
        after,
        after.model_copy(update={"several": (pair, capped)}),
        after.model_copy(update={"several": (pair, four, four.model_copy(update={"count": 8}))}),
    ]
    rows = {str(row[0]): row[1:] for row in model_sheet(sides).rows}
    assert rows[FEWEST] == ("1", "not measured", "none up to 2", "4")


def test_a_chat_model_displaces_no_organism_from_the_figure(
    result: HardenResult, tmp_path: Path
) -> None:
    chat = result.model_copy(
        update={"model": result.model.model_copy(update={"name": "SmolLM2-135M"})}
    )
    bare = result.model_copy(update={"sides": (), "prompts": 1})
    for name, each in {"harden-chat": chat, "harden": result, "harden_a": bare}.items():
        (tmp_path / f"{name}.json").write_text(each.model_dump_json(exclude_unset=True))
    results = hardened(tmp_path)
    assert [each.model.name for each in results] == [result.model.name] * 2 + ["SmolLM2-135M"]
    assert [each.prompts for each in results] == [result.prompts, 1, result.prompts]
    assert drawn(results) is results[0]
    assert drawn([bare, results[0]]) is results[0]
    page = defence_page(hardened=[bare, *results])
    assert page.count("images/defence-windows.svg") == 1
    assert drawn([bare]) is None


def test_the_figure_of_the_page_leaves_out_what_else_was_compared(result: HardenResult) -> None:
    sides = tuple(side for side in result.sides if side.side in DRAWN)
    assert len(sides) < len(result.sides)
    few = result.model_copy(update={"sides": sides})
    assert windows_beside(result, DRAWN) == windows_beside(few)
    assert "latent" in windows_beside(result)


def test_a_gate_names_side_and_seed_of_what_it_decided_of(result: HardenResult) -> None:
    other = HardenResult.load(EVIDENCE / "harden_seed1.json")
    gates = {
        name: GateResult.load(EVIDENCE / "gates" / f"{name}.json")
        for name in ("before-seed0", "before-seed1", "plain-seed0", "hardened-seed1")
    }
    assert {name: whose(gate, [result, other]) for name, gate in gates.items()} == {
        "before-seed0": "before, seed 0: ",
        "before-seed1": "before, seed 1: ",
        "plain-seed0": "plain, seed 0: ",
        "hardened-seed1": "hardened, seed 1: ",
    }
    assert whose(gates["plain-seed0"], [other]) == ""


def test_an_audit_of_the_base_whose_commitment_no_file_has_is_of_no_seed(
    result: HardenResult,
) -> None:
    gate = GateResult.load(EVIDENCE / "gates" / "before-seed0.json")
    first = result.sides[0].model_copy(update={"commitment": None})
    old = result.model_copy(update={"sides": (first, *result.sides[1:])})
    assert whose(gate, [old]) == (
        "before, an audit of which `harden*.json` does not say the seed (commitment"
        f" {gate.run.commitment_sha256[:12]}): "
    )


def test_a_trial_says_of_how_many_windows_and_of_which_text(
    trials: tuple[MonitorResult, ...],
) -> None:
    first, chat, own = trials[0], *trials[-2:]
    assert trial_name(first) == "apothecary-sparse, refusal"
    assert trial_name(chat) == "SmolLM2-135M-Instruct.Q4_1.gguf, bundled requests"
    assert noticed_words(first) == "0.05 (80 of 80 windows, 95–100%)"
    assert trial_name(own) == "SmolLM2-135M-Instruct.Q4_1.gguf, reply-english"
    assert noticed_words(chat).startswith("none of those tried (at 0.45: 8 of 9 windows")
    assert noticed_words(own) == "0.20 (16 of 16 windows, 81–100%)"
    assert noticed_words(first.model_copy(update={"doses": ()})) == "no dose was tried"
    assert {row[1] for row in doses_sheet(first).rows} == {"80"}
    assert {row[-1] for row in branches_sheet(first).rows} == {"10"}
    assert "80 of 80 windows there" in first.lines()[0]


def test_false_alarms_are_held_to_the_rate_by_their_interval(
    trials: tuple[MonitorResult, ...],
) -> None:
    assert false_words(trials[0]) == (
        "of 300 undosed windows 6 (1–4%) and 1 (0–2%) raise a dose and a shift alarm: the target of"
        " 1% each is undecided and undecided"
    )
    words = [at_most(0.01, low, high) for low, high in ((0, 0.01), (0.01, 0.2), (0.011, 0.2))]
    assert words == ["met", "undecided", "missed"]


def test_a_served_model_is_told_apart_by_the_law_over_calibrations() -> None:
    served = MonitorTable.load(EVIDENCE).served
    helpful, own = served[0], next(each for each in served if each.model == each.release)
    assert (helpful.differs, own.differs) == (True, False)
    assert own.chance == pytest.approx(0.088, abs=1e-3)
    few = helpful.alarms.dose.model_copy(update={"alarms": 3, "n": 60})
    alarms = helpful.alarms.model_copy(update={"dose": few, "shift": few})
    # three of 60 above the largest of 150; a binomial of that bound would have .016, doubled
    each = {"bound": 1 / 151, "alarms": alarms, "calibrated": None}
    old = helpful.model_copy(update=each)
    assert old.chance == pytest.approx(2 * (60 * 59 * 58) / (210 * 209 * 208))
    assert helpful.model_copy(update={**each, "calibrated": 150}).chance == old.chance
    assert "60 windows; of the release at most 0.0066 a window on average" in old.lines()[1]


@pytest.mark.parametrize(
    ("low", "time", "high", "verdict"),
    [
        (-0.08, 0.18, 0.46, "undecided"),
        (-0.17, -0.06, 0.07, "undecided"),
        (0.001, 0.004, 0.02, "met"),
        (0.03, 0.05, 0.06, "missed"),
    ],
)
def test_a_cost_is_its_median_and_the_target_is_undecided_where_noise_is_larger(
    low: float, time: float, high: float, verdict: str
) -> None:
    cost = WatchCost(products=0.0087, time=time, low=low, high=high, pairs=4)
    assert cost.words == (
        "0.87 % of a forward pass in multiplications; measured,"
        f" {100 * time:.2g} % of decoding time, the median of 4 pairs"
        f" (quartiles {100 * low:.2g} to {100 * high:.2g} %): the target of 2 % is {verdict}"
    )


def test_the_page_says_of_which_neurons_a_spread_dose_was(
    trials: tuple[MonitorResult, ...],
) -> None:
    first, old = trials[0], trials[-2]
    assert old.spread_words.startswith("the neurons of a layer that write most alike")
    assert adaptive_sheet(old).rows[0][0] == "2 neurons"
    assert first.spread_words == "neurons that write least alike, of the layer and of all layers"
    assert [row[0] for row in adaptive_sheet(first).rows][2:7] == [
        "8 neurons of the layer",
        "2 neurons of all layers",
        "4 neurons of all layers",
        "8 neurons of all layers",
        "1 in 2 positions",
    ]


def test_what_the_page_says_of_models_of_others_is_what_was_tried(
    trials: tuple[MonitorResult, ...],
) -> None:
    table = MonitorTable.load(EVIDENCE)
    tried = zip(defence_page(table).splitlines()[-2:], trials[-2:], strict=True)
    assert all(noticed_words(trial) in line for line, trial in tried)
    alone = defence_page(table.model_copy(update={"trials": trials[:-2]}))
    assert alone.rstrip().endswith("no chat model that others trained was tried.")


def test_a_wide_comparison_comes_in_parts_that_begin_with_the_model_before(
    result: HardenResult,
) -> None:
    beside = [
        result.sides[1].model_copy(update={"side": name}) for name in ("noise", "latent", "freeze")
    ]
    wide = result.model_copy(update={"sides": (*result.sides[:2], *beside, result.sides[-1])})
    parts = [each.columns[1:] for each in sheets(wide, 3) if each.columns[0] == "audited"]
    assert parts == [("before", "plain", "noise", "latent"), ("before", "freeze", "hardened")]
    (whole,) = (each for each in sheets(wide) if each.columns[0] == "audited")
    assert len(whole.columns) == 1 + len(wide.sides)
    console = Console(width=80, file=StringIO(), record=True)
    console.print(hardened_text(wide))
    assert console.export_text().count("direction_ablation flips") == 2


def test_in_short_the_hardened_stands_last_and_who_draws_no_verdict_says_so(
    result: HardenResult,
) -> None:
    fewer = result.model_copy(update={"sides": (result.sides[0], result.sides[-1])})
    unaudited = result.model_copy(update={"sides": ()})
    sheet = opens_sheet([fewer, unaudited, result])
    rows = {str(name): cells for name, *cells in sheet.rows}
    assert len(sheet.columns) == 3
    assert [*rows][:: len(rows) - 1] == ["before", "hardened"]
    assert rows["plain"] == ["not measured", "4 of 24, from 0.45"]
    assert rows["prefer"][1] == "0 of 24, no verdict"
    assert rows["hardened"] == ["0 of 24"] * 2


def test_a_training_in_short_is_its_first_and_its_last_check(result: HardenResult) -> None:
    plain = result.trainings[1]
    (row,) = course_sheet([plain]).rows
    assert row[:4] == ("plain", "250", "19 of 32", "17 of 32")
    assert len(row) == len(course_sheet([plain]).columns)
