"""What a hardening says of itself: of neurons that no training dosed, and of its command."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

from fulcra import AuditSettings
from fulcra.cli import harden as cli
from fulcra.defence import hardening
from fulcra.defence.doses import Defence
from fulcra.defence.hardened import CLOSED, HardenResult, TrainingEntry, WindowEntry, dosed_in
from fulcra.defence.hardening import Plan, settings_of
from fulcra.defence.tuning import Effort
from fulcra.defence.windows import Sample
from fulcra.report.defence_page import DEFAULTS, MINUTES, TRAINED, budget
from fulcra.report.hardened import check_sheet, stopped
from fulcra.screens.candidates import SWEPT
from tests.defence.checks import check

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
LATENT = {"defence": "latent"}


@pytest.fixture
def result() -> HardenResult:
    """A stored hardening of the first version."""
    return HardenResult.load(EVIDENCE / "harden.json")


def dosing(*neurons: str) -> TrainingEntry:
    """A training that dosed some neurons."""
    return TrainingEntry(
        defence="doses",
        steps=1,
        seconds=1.0,
        stopped="1 steps are spent",
        checks=(check(0, 0),),
        dosed=neurons,
    )


def window(branch: str, source: str, opens: float | None) -> WindowEntry:
    """A branch of an audit without its edges."""
    return WindowEntry(branch=branch, source=source, trigger=None, ceiling=None, opens=opens)


def test_a_hardening_of_the_first_version_says_that_fresh_neurons_were_not_counted(
    result: HardenResult,
) -> None:
    sides = tuple(side.model_copy(update={"fresh": None}) for side in result.sides)
    trained = tuple(each.model_copy(update={"dosed": None}) for each in result.trainings)
    old = result.model_copy(update={"sides": sides, "trainings": trained})
    assert old.dosed_neurons is None
    assert "of neurons that no training dosed: not counted" in old.lines()[-1]


def test_branches_of_neurons_that_no_training_dosed_are_counted_apart(
    result: HardenResult,
) -> None:
    windows = (
        window("L1.N83+", "screen", None),
        window("L1.N83-", "screen", 0.45),
        window("L1.N305-", "screen", 0.6),
        window("L1.N305+", "screen", None),
        window("L4.N7+", "random", 0.9),
        window("L4.N7-", "random", None),
        window("L5.N9+", "random", None),
    )
    side = result.sides[0].model_copy(update={"windows": windows}).with_fresh({"L1.N83", "L5.N9"})
    assert side.fresh_words == "1 of 2 screened, 1 of 2 random"
    trainings = (dosing("L1.N83", "L5.N9"), dosing())
    later = result.model_copy(update={"trainings": trainings, "sides": (side,)})
    assert later.dosed_neurons == 2
    assert later.lines()[-1].endswith("dosed: 1 of 2 screened, 1 of 2 random")


def test_every_branch_of_the_evidence_is_fresh_where_nothing_was_dosed(
    result: HardenResult,
) -> None:
    for side in result.sides:
        fresh = side.with_fresh(set()).fresh
        assert fresh is not None
        assert (fresh.screened, fresh.open_screened) == (side.screened, side.open_screened)
        assert fresh.random == side.prevalence.n


def test_one_training_that_did_not_count_leaves_all_uncounted() -> None:
    unknown = dosing().model_copy(update={"dosed": None})
    assert dosed_in((dosing("L1.N2"), dosing("L1.N3", "L1.N2"))) == {"L1.N2", "L1.N3"}
    assert dosed_in((dosing("L1.N2"), unknown)) is None


def test_a_printed_command_says_all_that_is_not_the_default(result: HardenResult) -> None:
    assert budget(result) == (
        "--steps 250 --every 25 --rows 12 --beside plain --beside more --beside noise"
        " --beside dropout --beside latent --beside freeze --beside prefer --beside extended"
        " --measure sequential --confirmation 96"
    )
    sizes = {
        "rank": 4,
        "every": 60,
        "rows": 10,
        "branches": 16,
        "seed": 3,
        "minutes": 20.0,
        "generic": 6,
        "holding": 5.0,
    }
    audits = {"neurons": 4, "random": 0, "controls": 10, "sweep": 512, "measure": "full"}
    settings = result.settings.model_copy(
        update={**sizes, **audits, "steps": None, "confirmation": None}
    )
    other = result.model_copy(
        update={"settings": settings, "trainings": (dosing().model_copy(update=LATENT), dosing())}
    )
    assert budget(other) == (
        "--rank 4 --branches 16 --holding 5.0 --generic 6 --defence latent --beside doses"
        " --neurons 4 --random 0 --controls 10 --sweep 512 --seed 3"
    )
    bare = dict.fromkeys(("neurons", "random", "controls", "measure"))
    settings = settings.model_copy(
        update={**bare, "steps": 60, "sweep": 4096, "generic": 20, "holding": None}
    )
    alone = other.model_copy(update={"settings": settings, "sides": (), "trainings": (dosing(),)})
    assert budget(alone) == "--steps 60 --minutes 20 --rank 4 --branches 16 --no-audit --seed 3"


def test_what_is_left_out_is_what_the_command_takes_then() -> None:
    parameters = inspect.signature(cli.harden_command).parameters
    for name in (*TRAINED, "neurons", "random", "controls", "measure"):
        assert parameters[name].default == DEFAULTS[name]
    assert Effort().holding == cli.HOLDING
    assert (MINUTES, DEFAULTS["sweep"]) == (cli.MINUTES, SWEPT)


def test_settings_hold_every_size_of_a_plan() -> None:
    effort = Effort(steps=60, rank=4, holding=5.0, sample=Sample.of(16, 512))
    settings = settings_of(Plan(effort, audits=AuditSettings(4, 0, 10, candidates=512)))
    assert (settings.rank, settings.branches, settings.sweep) == (4, 16, 512)
    assert (settings.holding, settings.generic) == (5.0, 20)
    assert (settings.neurons, settings.random, settings.controls) == (4, 0, 10)
    alone = settings_of(Plan(effort))
    assert (alone.neurons, alone.measure, alone.sweep, alone.branches) == (None, None, 512, 16)


def test_a_freezing_of_nothing_is_noted_and_the_others_go_on(
    result: HardenResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, plan = SimpleNamespace(folder=Path("out")), Plan(Effort(), beside=("freeze", "plain"))

    def trained(bench: object, defence: Defence, effort: Effort, folder: Path) -> TrainingEntry:
        assert effort.every == 60
        first = check(0, opened)
        return dosing().model_copy(update={"defence": defence, "checks": (first, check(60, 0))})

    monkeypatch.setattr(hardening, "_trained", trained)
    opened = 1
    assert all(each.tried for each in hardening.trainings_of(bench, plan))  # type: ignore[arg-type]
    opened = 0
    trainings = list(hardening.trainings_of(bench, plan))  # type: ignore[arg-type]
    assert [(each.defence, each.tried) for each in trainings] == [
        ("doses", True),
        ("freeze", False),
        ("plain", True),
    ]
    assert "not tried: no screened branch is forecast open" in stopped(trainings[1])
    assert check_sheet(trainings[1]).rows[0][1] == "0 of 10"
    assert "not tried" in result.model_copy(update={"trainings": trainings}).lines()[1]


def test_what_was_not_tried_is_not_audited(tmp_path: Path) -> None:
    parts = SimpleNamespace(out=tmp_path, of=lambda name, kind, make: name)
    bench = SimpleNamespace(folder=tmp_path, parts=parts)
    plan = Plan(Effort(), beside=("freeze", "plain"), audits=AuditSettings())
    frozen = dosing().model_copy(update={"defence": "freeze", "steps": 0})
    plain = dosing().model_copy(update={"defence": "plain"})
    sides = hardening.sides_of(bench, None, plan, (dosing(), frozen, plain))  # type: ignore[arg-type]
    assert list(sides) == ["audit-before", "audit-plain", "audit-hardened"]


def test_lines_keep_the_models_before_and_hardened_whatever_was_compared(
    result: HardenResult,
) -> None:
    assert len(result.lines()) == 5
    before, plain, *_, after = result.sides
    beside = [plain.model_copy(update={"side": name}) for name in ("plain", "noise", "latent")]
    wide = result.model_copy(
        update={"trainings": (dosing(),) * 4, "sides": (before, *beside, after)}
    )
    assert [line.split(":")[0] for line in wide.lines()] == ["doses"] * 3 + ["before", "hardened"]
    few = wide.model_copy(update={"trainings": (dosing(),)})
    names = [line.split(":")[0] for line in few.lines()]
    assert names == ["doses", "before", "plain", "noise", "hardened"]
    assert len(wide.model_copy(update={"sides": ()}).lines()) == 4


@pytest.mark.parametrize(
    ("opened", "changes", "says"),
    [
        ((8, 8, 7), {}, "too small: at step 120 7 of 10 branches are forecast open, 8 of 10 at"),
        ((8, 8, 2), {}, ""),
        ((8, 2, 8), {"taken": 60}, ""),
        ((8, 2, 8), {"taken": 120}, "at step 120 8 of 10"),
        ((8, 2), {}, "too small: at step 60, the only check, 2 of 10"),
        ((8, 1), {"stopped": CLOSED}, ""),
        ((0, 0, 0), {}, ""),
        ((8, 8, 8), {"defence": "plain"}, ""),
        ((8, 8, 8), LATENT, "the budget was too small"),
    ],
)
def test_a_budget_under_which_no_window_closed_was_too_small(
    result: HardenResult, opened: tuple[int, ...], changes: dict[str, object], says: str
) -> None:
    checks = tuple(check(60 * place, each) for place, each in enumerate(opened))
    training = dosing().model_copy(update={"checks": checks, **changes})
    assert says in training.too_small
    assert bool(training.too_small) == bool(says)
    told = result.model_copy(update={"trainings": (training, training), "sides": ()})
    assert told.too_small == training.too_small
    assert [says in line for line in told.lines()[:2]] == [True, not says]


@pytest.mark.parametrize(
    ("after", "before", "closed"),
    [
        ({}, {}, True),
        ({"open_screened": 1, "smallest_open_gain": 0.9}, {}, True),
        ({"open_screened": 1, "smallest_open_gain": 0.65}, {}, False),
        ({"open_screened": 2, "smallest_open_gain": 0.9}, {}, False),
        ({"reproduced": False}, {}, False),
        ({}, {"reproduced": False}, False),
        ({}, {"open_screened": 0, "smallest_open_gain": None}, False),
    ],
)
def test_audits_decide_over_what_is_forecast(
    after: dict[str, object], before: dict[str, object], closed: bool
) -> None:
    result = HardenResult.load(EVIDENCE / "harden.json")
    checks = tuple(check(60 * place, 8) for place in range(3))
    first = result.trainings[0].model_copy(update={"checks": checks, "stopped": "spent"})
    sides = (
        result.sides[0].model_copy(update=before),
        result.sides[-1].model_copy(update=after),
    )
    told = result.model_copy(update={"trainings": (first,), "sides": sides})
    assert told.closed is closed
    assert bool(told.too_small) is not closed
    assert bool(told.overruled) is closed
    assert told.model_copy(update={"sides": ()}).too_small == first.too_small
    line = "8 of 10 branches are forecast open to the end; the audit, which decides, measured"
    assert (line in told.lines()[0]) is closed


def test_the_budgets_of_the_evidence_were_large_enough() -> None:
    for path in EVIDENCE.glob("harden*.json"):
        assert not HardenResult.load(path).too_small
