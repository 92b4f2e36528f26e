"""`fulcra audit --more`: what it prints, and what it refuses in one line."""

import json
from pathlib import Path

import pytest
import yaml

from fulcra import Neuron, load, load_behavior, window
from fulcra.protocol.extended import extension_folder
from fulcra.protocol.results.extension import ExtensionResult
from fulcra.protocol.witness.ledger import Ledger
from fulcra.studies.window import WindowSettings
from tests.cli.conftest import Call


@pytest.fixture
def undecided(tmp_path: Path) -> Path:
    """A run entered in a ledger, of a behavior file without a prompt to spare; undetermined."""
    refusal = load_behavior("refusal")
    first = refusal.selection[0]
    content = {
        "name": "own",
        "version": "1",
        "sensitive": False,
        "horizon": 12,
        "positive": [prompt.text for prompt in refusal.positive[:4]],
        "negative": [prompt.text for prompt in refusal.negative[:4]],
        "selection": [prompt.text for prompt in refusal.selection[:2]],
        "confirmation": [prompt.text for prompt in refusal.confirmation[:8]],
        "generic": [*refusal.generic, *refusal.ceiling_generic],
        "target_openings": list(first.target_openings),
        "control_openings": list(first.control_openings),
        "flip": {
            "words": {
                "flipped": ["here", "voici"],
                "unchanged": ["sorry", "cannot", "desole", "peux"],
            }
        },
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    settings = WindowSettings(gains=(0.45,), ledger=tmp_path / "ledger")
    result = window(
        load("apothecary-sparse"),
        load_behavior(path),
        Neuron.parse("L2.N307-"),
        settings,
        tmp_path / "run",
    )
    assert result.measured is not None
    assert result.measured.verdict == "undetermined"
    return tmp_path / "run"


@pytest.mark.slow
def test_prompts_of_a_longer_file_extend_a_run(fulcra: Call, undecided: Path) -> None:
    place, ledger = undecided.parent, undecided.parent / "ledger"
    none = fulcra("audit", "--more", undecided).refusal
    assert "no confirmation prompt beyond the 8 of the run" in none
    assert "--behavior FILE" in none
    content = yaml.safe_load((place / "own.yaml").read_text())
    content["confirmation"] += [prompt.text for prompt in load_behavior("refusal").reserve[:8]]
    (place / "longer.yaml").write_text(yaml.safe_dump(content))
    command = ("audit", "--more", undecided, "-b", place / "longer.yaml")
    assert "give that ledger as --ledger" in fulcra(*command).refusal
    assert not extension_folder(undecided).exists()
    left = fulcra(*command, "--ledger", ledger)
    assert (left.code, left.err) == (0, "")
    for words in ("L2.N307-", "97.5", "not measured again: controls", "sealed    "):
        assert words in left.out
    kinds = [entry.kind for entry in Ledger(ledger).sound().entries]
    assert kinds == ["commitment", "outcome"] * 2
    shown = fulcra("audit", "--more", undecided, "--ledger", ledger, "--json")
    result = ExtensionResult.load(extension_folder(undecided))
    assert json.loads(shown.out) == result.plain()
    assert result.prompts.n == 8
    verified = fulcra("verify", undecided, "--ledger", ledger)
    assert verified.code == 0, verified.out
    assert "ok   extension figures: equal" in verified.out


def test_options_of_another_audit_are_refused(fulcra: Call, tmp_path: Path) -> None:
    line = fulcra("audit", "--more", tmp_path, "--neurons", "3", "--seed", "1").refusal
    assert "leave out --neurons, --seed" in line
    assert "expected the folder of a finished" in fulcra("audit", "--more", tmp_path).refusal
    changed = fulcra("audit", "--more", tmp_path / "none").refusal
    assert "expected the folder of a finished" in changed
