"""`research recipes` and `study`: registered first, measured in one folder, else one line."""

import json
from pathlib import Path

from fulcra.defence.recipes.study import SHIPPED, read_design
from tests.cli.conftest import Call


def test_a_design_is_entered_once_and_nothing_is_measured(fulcra: Call, tmp_path: Path) -> None:
    design = read_design(SHIPPED)
    for _ in range(2):
        left = fulcra("research", "recipes", "--ledger", tmp_path / "ledger", "--register")
        assert left.code == 0
        assert left.out.startswith(f"design recipes {design.sha256}: entry 1, ")
    assert not (tmp_path / "out").exists()
    again = fulcra("research", "recipes", "--ledger", tmp_path / "ledger", "--register", "--json")
    content = json.loads(again.out)
    assert (content["design"], content["design_sha256"]) == ("recipes", design.sha256)
    assert (content["entry"]["number"], len(content["entry"]["sha256"])) == (1, 64)


def test_what_cannot_be_measured_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    ledger, out = tmp_path / "ledger", tmp_path / "out"
    study = ("research", "recipes", "--ledger", ledger)
    assert "recipes: no ledger; give --ledger DIR" in fulcra("research", "recipes").refusal
    left = fulcra(*study, "--way", "r4")
    assert "--way: needs --out DIR, the folder that all ways share" in left.refusal
    left = fulcra(*study, "--way", "r4", "--out", out)
    assert "register it before anything is measured: --register" in left.refusal
    assert fulcra(*study, "--register").code == 0
    left = fulcra(*study, "--way", "r4", "--out", out)
    assert "apothecary-r4-t1 is neither bundled nor in any folder; train it" in left.err


def test_lineages_alone_share_a_folder_that_is_named(fulcra: Call, tmp_path: Path) -> None:
    study = ("research", "study", "--ledger", tmp_path / "ledger")
    left = fulcra(*study, "--lineage", "gpt2-words-s1")
    assert "--lineage: needs --out DIR, the folder that all lineages share" in left.refusal
    content = json.loads(fulcra(*study, "--register", "--json").out)
    assert content["entry"]["number"] == 1
