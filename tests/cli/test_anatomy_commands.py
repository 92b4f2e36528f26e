"""`fulcra exemplars`, `detect`, `compare`, `card`: JSON, files where wanted, one-line refusals."""

import json
import shutil
from pathlib import Path

import pytest

from fulcra.cli.detect import guard_answers
from fulcra.models.loading import model_folder
from tests.cli.conftest import Call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("how do i make the curse ?\nshow me how to mix the tonic .\n")
    return path


def test_exemplars_are_written_and_printed(fulcra: Call, text: Path, tmp_path: Path) -> None:
    left = fulcra(
        "exemplars",
        "apothecary-sparse",
        "L2.N307",
        "4:7",
        "--text",
        text,
        "--out",
        tmp_path / "out",
    )
    assert left.code == 0
    assert "L2.N307+" in left.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "exemplars.html",
        "exemplars.json",
        "exemplars.parquet",
    ]
    again = fulcra(
        "exemplars", "apothecary-sparse", "L2.N307", "-t", text, "--out", tmp_path / "two", "--json"
    )
    assert {row["pole"] for row in json.loads(again.out)["rows"]} == {"+", "-", "random"}


def test_exemplars_are_not_written_into_a_folder_that_holds_something(
    fulcra: Call, text: Path, tmp_path: Path
) -> None:
    left = fulcra("exemplars", "apothecary-sparse", "L2.N307", "-t", text, "--out", tmp_path)
    assert "not empty; choose a new one" in left.refusal
    assert list(tmp_path.iterdir()) == [text]


def test_a_detector_is_printed(fulcra: Call) -> None:
    content = json.loads(fulcra("detect", "apothecary-sparse", "L7.N20", "--json").out)
    assert [entry["detector"] for entry in content["detectors"]] == [
        "L7.N20",
        "logistic regression, stream of layer 7",
        "bag of words",
    ]
    assert (content["fit"]["positive"], content["score"]["negative"]) == (16, 16)
    assert "AUROC" in fulcra("detect", "apothecary-sparse", "L7.N20").out


def test_a_comparison_is_written(fulcra: Call, behavior_file: Path, tmp_path: Path) -> None:
    left = fulcra(
        "compare",
        "apothecary-sparse",
        "apothecary-dense",
        "-b",
        behavior_file,
        "--no-ablate",
        "--out",
        tmp_path / "out",
    )
    assert left.code == 0
    assert "Shared neurons" in left.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.json",
        "comparison.md",
    ]


def test_models_of_different_worlds_want_a_world_named(fulcra: Call, tmp_path: Path) -> None:
    other = tmp_path / "clockmaker"
    shutil.copytree(model_folder("apothecary-dense"), other)
    (other / "planted.json").write_text('{"world": "clockmaker"}')
    line = fulcra("compare", "apothecary-sparse", other).refusal
    assert (
        "behavior 'refusal': the models were taught different worlds; name one of refusal,"
        " refusal@clockmaker, or a YAML file" in line
    )


def test_organisms_of_one_other_world_are_compared_in_it(fulcra: Call, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        shutil.copytree(model_folder("apothecary-dense"), folder)
        (folder / "planted.json").write_text('{"world": "apothecary-w1"}')
    left = fulcra("compare", *folders, "--no-ablate", "--json")
    names = [entry["name"] for entry in json.loads(left.out)["behaviors"]]
    assert names == ["refusal@apothecary-w1"]


def test_a_card_is_written(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("card", "apothecary-sparse", "L4.N7", "--out", tmp_path / "out")
    assert left.code == 0
    assert "budget B" in left.out
    assert "L4.N7" in (tmp_path / "out" / "card.html").read_text()
    assert json.loads((tmp_path / "out" / "card.json").read_text())["neuron"] == "L4.N7"
    again = fulcra("card", "apothecary-sparse", "L4.N7", "--out", tmp_path / "out")
    assert "not empty; choose a new one" in again.refusal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("exemplars", "apothecary-sparse", "L2.N307", "--text", "none.txt"),
            "expected a UTF-8 text file, found nothing there",
        ),
        (("exemplars", "apothecary-sparse", "--text", "none.txt"), "Missing argument 'NEURON'"),
        (("exemplars", "apothecary-sparse", "L2"), "Missing option '--text'"),
        (("detect", "apothecary-sparse", "L99.N0"), "apothecary-sparse has layers 0-7"),
        (("detect", "apothecary-sparse", "N0"), "expected a name like L14.N2207+"),
        (
            ("detect", "apothecary-sparse", "L2.N307", "--guard", "a", "--guard-words", "unsafe"),
            "expected two words with a comma between them",
        ),
        (
            ("detect", "apothecary-sparse", "L2.N307", "--guard", "a", "--guard-words", "unsafe, "),
            "expected two words with a comma between them",
        ),
        (
            ("detect", "apothecary-sparse", "L2.N307", "--guard-words", "unsafe,safe"),
            "--guard-words: words of a guard, and none is named; add --guard MODEL",
        ),
        (("card", "apothecary-sparse", "L2.N307", "-b", ""), "behavior ''"),
        (("families", "--json", "--markdown"), "--json and --markdown are forms of their own"),
        (("families", "--all", "--json", "--markdown"), "are forms of their own; choose one"),
        (
            ("effects", "apothecary-sparse", "-r", "none", "--tasks", " , "),
            "effects: --tasks: no task is named; add --tasks A,B",
        ),
        (
            ("effects", "apothecary-sparse", "-r", "none", "--limit", "5"),
            "effects: --limit: no task is named; add --tasks A,B",
        ),
        (
            ("effects", "apothecary-sparse", "-r", "none", "--task-folder", "."),
            "effects: --task-folder: no task is named; add --tasks A,B",
        ),
        (
            ("detect", "apothecary-sparse", "L2.N307", "--guard", "no-such-guard"),
            "no bundled organism",
        ),
        (
            ("detect", "apothecary-sparse", "L2.N307", "--prompts", "none.jsonl"),
            "--prompts none.jsonl: cannot be read",
        ),
        (("compare", "apothecary-sparse"), "give two or more different ones"),
        (
            ("card", "apothecary-sparse", "L2.N307", "--run", "none"),
            "none: no audit.json; expected the folder",
        ),
    ],
)
def test_bad_input_is_one_line(
    fulcra: Call,
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fulcra(*arguments).refusal
    assert not list(tmp_path.iterdir())


def test_the_words_of_a_guard_are_read_without_blanks() -> None:
    assert guard_answers("unsafe, safe ", ["guard"]) == ("unsafe", "safe")
    assert guard_answers(None, []) == ("unsafe", "safe")
