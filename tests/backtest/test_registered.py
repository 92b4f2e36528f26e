"""A registered study end to end: first in the ledger, then measured, then scored."""

import re
import shutil
from pathlib import Path

import pytest

from fulcra import verify
from fulcra.backtest.cases import POOL, RUN, drawn_by_chance, read_pool
from fulcra.backtest.registered import SECOND, Place, read_design, registered, run_study
from fulcra.backtest.registered_recheck import is_the_draw, study_checks
from fulcra.backtest.registered_scores import grouped_figures
from fulcra.backtest.registered_targets import study_targets
from fulcra.backtest.split import Cabinet
from fulcra.errors import Inconclusive, InputError
from fulcra.formulas.auroc_error import auroc_half_width
from fulcra.models import load
from fulcra.protocol.recheck.witnesses import ledger_look
from fulcra.protocol.rerun import rerun
from fulcra.protocol.results.chances import ChanceRow
from fulcra.protocol.results.commitment import BranchEntry
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.study import StudyResult
from fulcra.protocol.witness.ledger import Ledger
from fulcra.protocol.witness.registration import enter_weights, weights_of
from fulcra.report.power import rate_resolved
from fulcra.report.study_page import study_page
from fulcra.store import COMMITMENT, read_json, write_json

pytestmark = pytest.mark.slow

LINEAGE = Lineage(
    name="words",
    recipe="words",
    ceilings=("apothecary-sparse",),
    verdicts={"apothecary-sparse": ("refusal",)},
    reference="apothecary-helpful",
)


@pytest.fixture(scope="module")
def shipped() -> Design:
    return read_design(SECOND)


@pytest.fixture(scope="module")
def small(shipped: Design) -> Design:
    """The shipped design on one bundled organism, a few branches of it."""
    size = shipped.size.model_copy(
        update={"neurons": 1, "pool": 4, "branches": 2, "prompts": 6, "gains": (0.3, 0.9)}
    )
    update = {
        "held_out": (LINEAGE,),
        "size": size,
        "beside": ("kl_ladder",),
    }
    return Design.model_validate(shipped.model_copy(update=update).model_dump())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("registered")
    return Place(Cabinet(), Ledger(folder / "ledger"), folder / "study")


@pytest.fixture(scope="module")
def result(small: Design, place: Place) -> StudyResult:
    with pytest.raises(InputError, match="it before anything is measured: --register"):
        run_study(small, place)
    registered(small, place.ledger)
    study = run_study(small, place)
    assert study is not None
    return study


def test_the_shipped_design_counts_as_it_says(shipped: Design) -> None:
    power = shipped.power
    width = auroc_half_width(power.auroc, power.open, power.closed)
    assert power.half_width == pytest.approx(width, abs=5e-5)
    assert width < shipped.wanted.l3_half_width
    assert (power.open, power.prompts) == (shipped.wanted.open, shipped.size.prompts)
    assert power.decided_at[1] == pytest.approx(rate_resolved(power.prompts), abs=5e-4)
    assert sum(power.decided_at) == pytest.approx(1)
    assert len(shipped.held_out) >= 8


def test_what_the_first_study_or_a_choice_was_made_on_is_not_held_out(shipped: Design) -> None:
    from fulcra.backtest.split import SHIPPED, read_split

    first = read_split(SHIPPED)
    used = {name for lineage in first.lineages for name in lineage.models} | set(first.ladder)
    assert not used & set(shipped.split.models)


def test_the_design_stands_in_the_ledger_before_every_commitment(
    result: StudyResult, small: Design, place: Place
) -> None:
    entries = place.ledger.sound().entries
    once = ["commitment", "outcome"]
    assert [entry.kind for entry in entries] == ["registration", "weights", *once, *once]
    assert entries[1].weights == result.weights
    names = ("apothecary-sparse", "apothecary-helpful")
    assert result.weights.models == {name: load(name).sha256 for name in names}
    assert entries[2].commitment == result.predicted["apothecary-sparse"]
    assert entries[0].commitment == small.sha256 == result.design_sha256
    assert result.registered == entries[0].link
    assert registered(small, place.ledger) == entries[0]
    other = small.model_copy(update={"analysis": ()})
    with pytest.raises(InputError, match="a design is registered once: give a changed one another"):
        registered(other, place.ledger)


def test_every_case_is_a_run_that_verify_reads(result: StudyResult, place: Place) -> None:
    folder = place.out / "words" / "apothecary-sparse" / "refusal" / RUN
    assert all(check.passed for check in verify(folder))
    assert all(check.passed for check in ledger_look(place.ledger, folder).checks)
    entries = read_json(folder / COMMITMENT)["content"]["branches"]
    assert [row.weight for row in result.rows.verdicts] == [entry["weight"] for entry in entries]
    (chances,) = result.rows.chances
    for row, entry in zip(chances.rows, entries, strict=True):
        assert row.open == pytest.approx(entry["chance"]["open"], abs=1e-5)
        assert [edge["method"] for edge in entry["beside"]] == ["sampled_surprise_ladder"]


def test_the_figures_are_those_of_the_rows(result: StudyResult) -> None:
    groups = grouped_figures(result.design, result.rows, result.protocol, result.weights.unfinished)
    assert {name: group.plain() for name, group in groups.items()} == {
        name: group.plain() for name, group in result.groups.items()
    }
    assert study_targets(result.design, groups) == result.targets


def test_the_whole_study_is_looked_at_again(result: StudyResult, place: Place) -> None:
    checks = study_checks(place.out, place.ledger.folder, verify)
    assert [check for check in checks if not check.passed] == []
    assert {check.name for check in checks} == {
        "design hash",
        "cases",
        "models",
        "left out",
        "rows",
        "apothecary-sparse refusal",
        "apothecary-sparse ceilings",
        "figures of held_out",
        "figures of words",
        "groups",
        "depth",
        "beside",
        "targets",
        "registration",
        "weights",
    }


def test_an_altered_study_fails_the_look(result: StudyResult, place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(place.out, copy)
    content = read_json(copy / StudyResult.file)
    content["rows"]["verdicts"][0]["observed_open"] ^= True
    content["depth"]["words"]["reasons"]["n"] += 1
    content["beside"]["words"]["tops"] = []
    content["beside"]["words"]["ends"]["under"]["value"] = 0.5
    write_json(copy / StudyResult.file, content)
    other = Ledger(tmp_path / "ledger")
    registered(result.design, other)
    failed = {c.name for c in study_checks(copy, other.folder, verify) if not c.passed}
    altered = {
        "apothecary-sparse refusal",
        "figures of held_out",
        "figures of words",
        "depth",
        "beside",
    }
    assert altered | {"registration", "weights"} <= failed


def test_a_study_that_is_over_is_read_back_without_its_models(
    result: StudyResult, small: Design, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cabinet, "members", lambda cabinet, lineage: pytest.fail("was loaded"))
    again = run_study(small, place)
    assert again is not None
    assert again.rows == result.rows
    assert StudyResult.load(place.out).targets == result.targets
    page = (place.out / "study.md").read_text()
    assert page.startswith("# A registered study of the law: second")
    drawn = re.findall(r"images/[a-z-]+[.]svg", page)
    assert len(drawn) == 2
    assert all((place.out / name).read_text().startswith("<svg") for name in drawn)


def test_parts_of_the_lineages_stand_at_the_end_of_the_page(result: StudyResult) -> None:
    part = "without words"
    groups = result.groups | {part: result.groups["held_out"]}
    body, end = study_page(result.model_copy(update={"groups": groups})).split("## Without a part")
    assert part not in body
    assert f"| {part} | L1 |" in end
    assert "| held_out | L1 |" in body
    assert "held_out" not in end
    assert "## Without a part" not in study_page(result)


def test_missing_models_are_named(shipped: Design, tmp_path: Path) -> None:
    place = Place(Cabinet(), Ledger(tmp_path / "ledger"), tmp_path / "study")
    registered(shipped, place.ledger)
    with pytest.raises(Inconclusive, match="neither bundled nor in any folder"):
        run_study(shipped, place)
    with pytest.raises(InputError, match="--lineage nobody: not in design second"):
        run_study(shipped, place, ["nobody"])


def test_a_model_is_entered_once_and_other_weights_are_refused(
    small: Design, tmp_path: Path
) -> None:
    place = Place(Cabinet(), Ledger(tmp_path / "ledger"), tmp_path / "study")
    registered(small, place.ledger)
    entered = {"apothecary-helpful": "0" * 64, "apothecary-late": "1" * 64}
    for _ in range(2):
        enter_weights(place.ledger, small.sha256, entered, ["apothecary-late"])
    chain = place.ledger.sound()
    assert len(chain.entries) == 2
    assert weights_of(chain, small.sha256).unfinished == ("apothecary-late",)
    assert weights_of(chain, "f" * 64).models == {}
    with pytest.raises(
        InputError, match=r"apothecary-helpful: weights \w+, the ledger .* has 0{16}"
    ):
        run_study(small, place)


def test_the_helpful_model_of_the_lineage_judges_and_a_case_is_rolled_again(
    result: StudyResult, place: Place
) -> None:
    folder = place.out / "words" / "apothecary-sparse" / "refusal"
    plan = read_json(folder / RUN / COMMITMENT)["content"]["plan"]
    provenance = read_pool(folder / POOL).provenance
    assert provenance is not None
    assert plan["reference"] == provenance.reference == "apothecary-helpful"
    assert rerun(folder / RUN, "3").passed


@pytest.mark.parametrize(
    ("file", "place_of", "fault"),
    [
        ("pool.json", POOL, "its pool is not the one it committed to"),
        ("predictions.json", "../ceilings", "the predictions are not those of the study"),
    ],
)
def test_an_altered_pool_or_prediction_is_noticed(
    result: StudyResult, place: Place, tmp_path: Path, file: str, place_of: str, fault: str
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(place.out, copy)
    path = copy / "words" / "apothecary-sparse" / "refusal" / place_of / file
    content = read_json(path)
    if file == "pool.json":
        content["rows"][0]["open"] += 0.25
    else:
        content["content"]["budgets"][0] *= 2
    write_json(path, content)
    checks = study_checks(copy, place.ledger.folder, verify)
    assert any(fault in check.detail for check in checks if not check.passed)


def test_a_case_that_nobody_tells_of_is_noticed(
    result: StudyResult, place: Place, tmp_path: Path
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(place.out, copy)
    content = read_json(copy / StudyResult.file)
    content["rows"]["verdicts"] = []
    write_json(copy / StudyResult.file, content)
    looked = {c.name: c.detail for c in study_checks(copy, None, verify) if not c.passed}
    assert looked["apothecary-sparse refusal"] == "study.json has other rows than its files"
    content["protocol"] = content["rows"]["chances"] = []
    content["left_out"] = {}
    write_json(copy / StudyResult.file, content)
    failed = {c.name: c.detail for c in study_checks(copy, None, verify) if not c.passed}
    assert failed["cases"] == "0 of 1 measured, without a word of 1"


def test_a_case_called_left_out_and_rows_of_no_case_are_noticed(
    result: StudyResult, place: Place, tmp_path: Path
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(place.out, copy)
    content = read_json(copy / StudyResult.file)
    content["left_out"] = {"apothecary-sparse refusal": "because"}
    strange = {**content["rows"]["ceilings"][0], "model": "nobody"}
    content["rows"]["ceilings"].append(strange)
    content["groups"]["without nobody"] = content["groups"]["words"]
    write_json(copy / StudyResult.file, content)
    failed = {c.name: c.detail for c in study_checks(copy, None, verify) if not c.passed}
    assert failed["left out"] == "1, 1 of them measured as well"
    assert failed["rows"] == "rows of nobody belong to no case"
    assert failed["groups"] == "none of the design: without nobody"


def test_files_of_another_design_are_not_read_back(
    result: StudyResult, small: Design, place: Place, tmp_path: Path
) -> None:
    other = small.model_copy(update={"expected": {"open": 1.0}})
    elsewhere = Place(Cabinet(), Ledger(tmp_path / "ledger"), place.out)
    registered(other, elsewhere.ledger)
    with pytest.raises(InputError, match="was committed to for another design"):
        run_study(other, elsewhere)


def row(branch: str, opened: float) -> ChanceRow:
    return ChanceRow(
        branch=branch, weight=1.0, end=None, under=1 - opened, open=opened, over=0.0, rivals={}
    )


def test_branches_are_drawn_by_chance_and_weigh_what_they_stand_for(
    small: Design, result: StudyResult
) -> None:
    rows = tuple(row(f"L0.N{i}+", 0.5 if i < 4 else 0.0) for i in range(104))
    pool = result.rows.chances[0].model_copy(update={"rows": rows})
    size = small.size.model_copy(update={"branches": 12})
    drawn = drawn_by_chance(pool, size)
    assert len(drawn) == 12
    assert sum(each.open > 0 for each in drawn) == 4
    assert sum(each.weight for each in drawn) == pytest.approx(104)
    again = pool.model_copy(update={"behavior": pool.behavior.model_copy(update={"name": "other"})})
    assert drawn_by_chance(again, size) != drawn


def test_weights_are_compared_to_the_digits_that_files_hold() -> None:
    drawn = row("L3.N78-", 0.25).model_copy(update={"weight": 8.710745054396492})
    entry = BranchEntry.model_construct(branch="L3.N78-", weight=8.71075)
    assert is_the_draw([drawn], [entry])
    assert not is_the_draw([drawn], [entry.model_copy(update={"weight": 8.71085})])
    assert not is_the_draw([drawn], [])


def test_another_noise_than_the_frozen_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(SECOND.read_text().replace("flip_at: 1.51892", "flip_at: 1.6"))
    with pytest.raises(InputError, match="its noise is not what this version forecasts with"):
        read_design(path)
