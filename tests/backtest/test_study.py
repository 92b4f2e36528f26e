"""The reduced study on a bundled organism: whole, resumable, no conclusion from what is missing."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fulcra.backtest.split import Cabinet, read_split
from fulcra.backtest.study import REDUCED, validate
from fulcra.errors import Inconclusive
from fulcra.models import load
from fulcra.organisms.planted import PLANTED
from fulcra.protocol.results.split import Split
from fulcra.protocol.results.validation import ValidationResult
from fulcra.report.validation import validation_markdown, validation_plots, validation_table
from fulcra.store import COMMITMENT, read_json

pytestmark = pytest.mark.slow

SPLIT = """
detector: [apothecary-sparse]
ladder: [apothecary-sparse, apothecary-k6, apothecary-dense, apothecary-k24]
development:
  - name: words
    recipe: words
    ceilings: [apothecary-sparse]
    verdicts: {apothecary-sparse: [refusal]}
    reference: apothecary-helpful
held_out:
  - {name: other, recipe: other, ceilings: [nowhere]}
"""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    path = tmp_path_factory.mktemp("split") / "split.yaml"
    path.write_text(SPLIT)
    return read_split(path)


@pytest.fixture(scope="module")
def cabinet(tmp_path_factory: pytest.TempPathFactory) -> Cabinet:
    """An organism that stands for a rung of six neurons, among the bundled ones."""
    organisms = tmp_path_factory.mktemp("organisms")
    folder = load("apothecary-sparse").folder
    assert folder is not None
    shutil.copytree(folder, organisms / "apothecary-k6")
    planted = json.loads((folder / PLANTED).read_text())
    (organisms / "apothecary-k6" / PLANTED).write_text(
        json.dumps(planted | {"gates": ["L2.N1"] * 6})
    )
    return Cabinet(organisms)


@pytest.fixture(scope="module")
def folder(split: Split, cabinet: Cabinet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("validation")
    validate(split, out, cabinet, REDUCED, reduced=True)
    return out


def without_time(result: ValidationResult) -> dict[str, object]:
    return {key: value for key, value in result.plain().items() if key != "timing"}


def test_the_reduced_study_writes_every_section(folder: Path) -> None:
    result = ValidationResult.load(folder)
    assert result.missing == ("nowhere",)
    assert result.reduced is True
    assert result.ceilings.development is not None
    assert result.ceilings.development["kl_ladder"].n == 16
    assert result.verdicts.development is not None
    assert {"accuracy", "auroc", "brier", "coverage", "confusion", "p_value"} <= (
        result.verdicts.development["L1"].plain().keys()
    )
    assert result.ceilings.held_out is None
    assert result.kl_at_ceiling["words"].n == 16
    noise = result.noise_floor.development
    assert noise is not None
    assert noise.n + noise.censored == 4
    assert {
        "universality",
        "generality",
        "baselines",
        "ladder",
        "detector",
        "protocol_reproduced",
        "split_sha256",
        "provenance",
    } <= read_json(folder / ValidationResult.file).keys()


def test_the_detector_is_validated_and_the_ladder_keeps_who_is_missing(folder: Path) -> None:
    result = ValidationResult.load(folder)
    assert set(result.detector.organisms) == {"apothecary-sparse"}
    assert result.detector.organisms["apothecary-sparse"].grammar.scored > 0
    ladder = result.ladder
    assert ladder is not None
    assert [(rung.neurons, rung.organism, rung.searched) for rung in ladder.organisms] == [
        (3, "apothecary-sparse", 1),
        (6, "apothecary-k6", 1),
        (None, "apothecary-dense", 1),
    ]
    assert ladder.missing == ("apothecary-k24",)
    assert read_json(folder / "ladder" / "apothecary-k6" / COMMITMENT)["sha256"]


def test_windows_are_committed_with_their_own_hash(folder: Path) -> None:
    (protocol,) = ValidationResult.load(folder).protocol
    assert (
        read_json(folder / "apothecary-sparse" / "refusal" / COMMITMENT)["sha256"]
        == protocol.commitment_sha256
    )


def test_an_interrupted_study_goes_on_to_the_same_figures(
    folder: Path, split: Split, cabinet: Cabinet
) -> None:
    before = ValidationResult.load(folder)
    part = folder / "apothecary-sparse" / "ceilings" / "parts" / "ceilings-0.json"
    stamp = part.stat().st_mtime_ns
    (folder / ValidationResult.file).unlink()
    again = validate(split, folder, cabinet, REDUCED, reduced=True)
    assert without_time(again) == without_time(before)
    assert part.stat().st_mtime_ns == stamp


def test_missing_models_leave_no_conclusion(split: Split, tmp_path: Path) -> None:
    with pytest.raises(
        Inconclusive, match="1 models of the split are neither bundled nor in any folder: nowhere"
    ):
        validate(split, tmp_path, Cabinet())
    assert not any(tmp_path.iterdir())


def test_the_page_is_made_of_the_figures(folder: Path) -> None:
    result = ValidationResult.load(folder)
    page = validation_markdown(result)
    assert result.split_sha256[:16] in page
    assert "Reduced: sizes too small to conclude anything" in page
    assert "| kl_ladder | 2 |" in page
    for name, drawing in validation_plots(result).items():
        assert f"images/{name}.svg" in page
        assert drawing.count("<circle") >= 16
    assert validation_table(result)
    assert re.search(
        r"m\*, the gain at collapse, differs by a typical factor .* of \d\.\d\d in a layer,"
        r" \d\.\d\d in a model\. A constant",
        page,
    )
    assert "| apothecary-sparse |" in page
    assert "| 6 | `apothecary-k6` |" in page


def test_the_pages_are_saved_beside_the_result(folder: Path) -> None:
    for name, text in ValidationResult.load(folder).pages().items():
        assert (folder / name).read_text(encoding="utf-8") == text
