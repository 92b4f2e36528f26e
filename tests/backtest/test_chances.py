"""Chances from curves end to end: on a made-up census, read back, and without a census."""

import math
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.backtest.chance_curves import (
    CURVES,
    DrawnChance,
    Member,
    random_branches,
    read_curves,
    stored_part,
    write_curves,
)
from fulcra.backtest.chances import ENTRY, NO_ODDS, branch_chances
from fulcra.errors import Inconclusive, InputError, RunFolderError
from fulcra.law.chance import FROZEN, LEARNED_ON
from fulcra.models.tiny import tiny
from fulcra.protocol.results.census import MeasuredBranch
from fulcra.protocol.results.chances import ChanceSettings, ChancesResult, CurveRow, Statistic
from fulcra.protocol.subject import Subject, ground_of
from fulcra.store import read_json, write_json
from fulcra.types import Neuron
from tests.studies.test_census import write_census

LISTS = ("odds", "divergence", "tail", "replies")
SETTINGS = ChanceSettings(others=2, texts=1)
#: Branches of the shipped census: one open, one with a few flips, one without; and three without a
#: forecast window, of which two are drawn.
BRANCHES = [
    MeasuredBranch("L1.N245+", "forecast", "open", 0.49, 0.85, 0.65, 0.875, 1.0, True),
    MeasuredBranch("L2.N307+", "forecast", "collapse", 0.5, 0.9, None, 0.25, 1.0, False),
    MeasuredBranch("L2.N308+", "forecast", "collapse", 0.5, None, None, 0.0, 1.0, False),
    *(
        MeasuredBranch(f"L6.N{i}+", "audit", "collapse", None, 0.9, None, 0.0, 10.0, False)
        for i in range(3)
    ),
    MeasuredBranch("L7.N9+", "rest", None, None, 0.9, None, 0.0, 0.0, None),
]


@pytest.fixture(scope="module")
def small(refusal: Behavior) -> Behavior:
    """The refusal with two selection prompts."""
    return replace(refusal, selection=refusal.selection[:2])


@pytest.fixture(scope="module")
def census(sparse: Model, small: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chances") / "census"
    write_census(folder, sparse, small, BRANCHES, 1.0)
    return folder


@pytest.fixture(scope="module")
def place(census: Path) -> Path:
    """Where the curves of the run are kept."""
    return census.parent / "run"


@pytest.fixture(scope="module")
def result(sparse: Model, small: Behavior, census: Path, place: Path) -> ChancesResult:
    return branch_chances([Member(sparse, small, census)], SETTINGS, place)


def test_the_branches_are_the_windows_and_a_share_of_the_rest(result: ChancesResult) -> None:
    (model,) = result.models
    ends = {row.branch: (row.end, row.weight) for row in model.rows}
    assert ends.pop("L1.N245+") == ("open", 1.0)
    assert ends.pop("L2.N307+") == ("over", 1.0)
    assert ends.pop("L2.N308+") == ("under", 1.0)
    assert list(ends.values()) == [("under", 15.0)] * 2
    assert (model.prompts, model.first, model.open) == (16, 4, 1)
    assert model.prevalence == pytest.approx(1 / 33, rel=1e-4)


def test_a_branch_that_opens_is_likelier_than_one_of_the_last_layers(result: ChancesResult) -> None:
    chances = {row.branch: row.open for row in result.models[0].rows}
    others = [chance for branch, chance in chances.items() if branch.startswith("L6")]
    assert chances["L1.N245+"] > 10 * max(others)
    for row in result.models[0].rows:
        assert row.under + row.open + row.over == pytest.approx(1, abs=1e-5)


def test_a_model_alone_is_forecast_by_the_frozen_noise(result: ChancesResult) -> None:
    noise = result.models[0].noise
    assert noise.learned_on == LEARNED_ON
    assert noise.flip_at == pytest.approx(FROZEN.flip_at, rel=1e-5)
    assert (result.pooled, result.tried, result.models[0].rivals) == (None, (), {})


def test_curves_that_are_whole_are_read_back_and_not_measured_again(
    sparse: Model,
    small: Behavior,
    census: Path,
    place: Path,
    result: ChancesResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fulcra.backtest.chances.Subject", None)
    again = branch_chances([Member(sparse, small, census)], SETTINGS, place)
    assert again.models == result.models


def test_curves_of_other_sizes_or_without_the_census_are_refused(
    sparse: Model, small: Behavior, census: Path, place: Path, result: ChancesResult
) -> None:
    assert result.models
    words = "holds curves with a census, --others 2, --texts 1, --seed 0; ask for the same"
    with pytest.raises(RunFolderError, match=words):
        branch_chances([Member(sparse, small)], SETTINGS, place)
    more = SETTINGS.model_copy(update={"others": 3})
    with pytest.raises(RunFolderError, match=words):
        branch_chances([Member(sparse, small, census)], more, place)


def test_curves_of_another_census_are_refused_with_its_hash_and_without(
    sparse: Model, small: Behavior, place: Path, result: ChancesResult, tmp_path: Path
) -> None:
    assert result.models[0].census is not None
    other = replace(BRANCHES[0], end="collapse", smallest_open_gain=None, specific=None)
    write_census(tmp_path / "other", sparse, small, [other, *BRANCHES[1:]], 1.0)
    member = Member(sparse, small, tmp_path / "other")
    with pytest.raises(RunFolderError, match=r"another census than --census .*other; ask"):
        branch_chances([member], SETTINGS, place)
    before = shutil.copytree(place, tmp_path / "before")
    _without_census(before / f"0-{sparse.name}" / ENTRY)
    with pytest.raises(RunFolderError, match=r"another census than --census .*other; ask"):
        branch_chances([member], SETTINGS, before)


def test_curves_of_the_first_version_are_read_back_with_their_census(
    sparse: Model, small: Behavior, census: Path, place: Path, tmp_path: Path, result: ChancesResult
) -> None:
    before = shutil.copytree(place, tmp_path / "before")
    _without_census(before / f"0-{sparse.name}" / ENTRY)
    again = branch_chances([Member(sparse, small, census)], SETTINGS, before)
    assert again.models[0].rows == result.models[0].rows
    assert again.models[0].census is None


def _without_census(entry: Path) -> None:
    """Make an entry one of the first version, which held no hash of a census."""
    content = read_json(entry)
    del content["census"]
    write_json(entry, content)


def test_an_interrupted_forecast_goes_on_with_its_own_census_alone(
    sparse: Model,
    small: Behavior,
    census: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fulcra.backtest.chances.curve_rows", _stopped)
        with pytest.raises(KeyboardInterrupt):
            branch_chances([Member(sparse, small, census)], SETTINGS, tmp_path)
    with pytest.raises(RunFolderError, match=r"holds another run \(different: census\)"):
        branch_chances([Member(sparse, small)], SETTINGS, tmp_path)


def _stopped(*_: object) -> list[CurveRow]:
    raise KeyboardInterrupt


def test_a_stored_part_is_taken_only_of_the_branches_that_are_drawn(tmp_path: Path) -> None:
    row = CurveRow("L1.N245+", "open", 0.1 + 0.2, [0.0], [0.0], [0.0], [0.0])
    write_curves(tmp_path / "part", [row])
    drawn = DrawnChance("L1.N245+", 0.1 + 0.2, "open")
    assert stored_part(tmp_path / "part", [drawn]) == [row]
    for other in (drawn._replace(branch="L1.N245-"), drawn._replace(end=None)):
        with pytest.raises(RunFolderError, match="curves of other branches than are drawn now"):
            stored_part(tmp_path / "part", [other])


def test_a_branch_without_a_rung_is_ranked_below_all_others(
    sparse: Model, small: Behavior, census: Path, place: Path, tmp_path: Path, result: ChancesResult
) -> None:
    assert result.models
    copy = shutil.copytree(place, tmp_path / "copy")
    path = copy / f"0-{sparse.name}" / CURVES
    first, *others = read_curves(path)
    lists = {name: [math.nan] * len(getattr(first, name)) for name in LISTS}
    write_curves(path, [first._replace(**lists), *others])
    (model,) = branch_chances([Member(sparse, small, census)], SETTINGS, copy).models
    none, *rest = model.rows
    assert (none.under, none.open, none.over) == (1.0, 0.0, 0.0)
    for name in ("best_odds", "dosed_logit"):
        assert none.rivals[name] <= min(row.rivals[name] for row in rest)
    assert none.rivals["best_odds"] == NO_ODDS


def test_random_branches_are_of_neurons_that_reach_the_first_gain(refusal: Behavior) -> None:
    model = tiny("gemma2", 2)
    weight = model.blocks[1].get_parameter("post_feedforward_layernorm.weight")
    with torch.no_grad():
        weight.copy_(0.05 * (1 + weight) - 1)  # Gemma stores gamma - 1
    ground = ground_of(model, [f"w{i} w{i + 1} w{i + 2}" for i in range(3, 7)], seed=0)
    subject = Subject(ground, refusal)
    drawn = random_branches(subject, 6, random.Random(0))
    assert {Neuron.parse(each.branch).layer for each in drawn} == {0, 2}
    assert len({each.branch for each in drawn}) == 6
    # more than six of 288 branches were looked at: those of one layer do not reach it
    assert 6 * drawn[0].weight < 288
    with torch.no_grad():
        for block in model.blocks:
            block.get_parameter("mlp.down_proj.weight").zero_()
    with pytest.raises(InputError, match="of 0 neurons turns the stream as far as gain"):
        random_branches(subject, 6, random.Random(0))


def test_curves_of_another_behavior_are_refused(
    sparse: Model, refusal: Behavior, place: Path, result: ChancesResult
) -> None:
    assert result.models
    with pytest.raises(RunFolderError, match="holds the curves of apothecary-sparse under refusal"):
        branch_chances([Member(sparse, refusal)], SETTINGS, place)


@pytest.mark.slow
def test_two_models_are_each_forecast_by_the_noise_of_the_other(
    sparse: Model, small: Behavior, census: Path, place: Path, tmp_path: Path
) -> None:
    branch_chances([Member(sparse, small, census)], SETTINGS, place)
    for number in (0, 1):
        (tmp_path / f"{number}-{sparse.name}").symlink_to(place / f"0-{sparse.name}")

    def members() -> Iterator[Member]:
        for _ in range(2):
            yield Member(sparse, small, census)

    both = branch_chances(members(), SETTINGS, tmp_path)
    assert both.pooled is not None
    assert both.pooled.learned_on == (sparse.name, sparse.name)
    assert [model.noise.learned_on for model in both.models] == [(sparse.name,)] * 2
    assert {each.statistic for each in both.tried} == set(get_args(Statistic))
    assert "margin" in both.models[0].rivals
    both.save(tmp_path / "saved")
    assert ChancesResult.load(tmp_path / "saved") == both
    assert (tmp_path / "saved" / "images" / "chances.svg").is_file()
    assert "**not reached**" in (tmp_path / "saved" / "chances.md").read_text()


def test_without_a_census_random_branches_are_forecast_and_nothing_is_scored(
    sparse: Model, small: Behavior, tmp_path: Path
) -> None:
    result = branch_chances([Member(sparse, small)], SETTINGS, tmp_path)
    (model,) = result.models
    assert [row.end for row in model.rows] == [None, None]
    assert {row.weight for row in model.rows} == {3072.0}
    assert (model.score, result.pages()) == (None, {})


def test_a_behavior_without_openings_is_refused(
    sparse: Model, small: Behavior, tmp_path: Path
) -> None:
    bare = [replace(p, target_openings=(), control_openings=()) for p in small.selection]
    silent = replace(small, selection=tuple(bare))
    with pytest.raises(Inconclusive, match="no openings, so no flip can be forecast"):
        branch_chances([Member(sparse, silent)], SETTINGS, tmp_path)
