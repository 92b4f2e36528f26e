"""`fulcra harden`: what it is asked for is checked before anything is trained, in one line."""

import json
from pathlib import Path

import pytest

from fulcra import Model
from fulcra.cli.harden import adapter_line
from fulcra.defence import hardening
from fulcra.defence.hardened import CLOSED, HardenResult
from fulcra.errors import InputError
from fulcra.models.lora import adapted
from fulcra.protocol.results.base import GgufEntry
from tests.cli.conftest import Call

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
GGUF = GgufEntry.model_construct()

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")


def test_an_adapter_is_a_model_of_every_command(
    fulcra: Call, tmp_path: Path, sparse: Model
) -> None:
    with adapted(sparse, 2, 0) as lora:
        lora.save(tmp_path / "mine")
    left = fulcra("check", tmp_path / "mine")
    assert left.code == 0
    assert "(LoRA, rank 2) merged into apothecary-sparse" in left.out
    shown = json.loads(fulcra("check", tmp_path / "mine", "--json").out)
    assert shown["adapter"]["base_sha256"] == sparse.sha256


def test_a_behavior_that_the_model_does_not_show_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("harden", "apothecary-helpful", "--steps", "60", "--out", tmp_path / "a")
    assert "a behavior the model does not show" in left.refusal
    assert not (tmp_path / "a").exists()


def test_a_budget_below_one_check_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("harden", "apothecary-sparse", "--steps", "5", "--out", tmp_path / "a")
    assert "--steps 5: the windows are checked every 60 steps" in left.refusal


def test_a_folder_that_is_not_free_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    left = fulcra("harden", "apothecary-sparse", "--out", tmp_path)
    assert "the folder is not empty and holds no run of fulcra; choose a new one" in left.refusal


@pytest.mark.parametrize(
    "option",
    [
        ("--neurons", "2"),
        ("--random", "2"),
        ("--controls", "20"),
        ("--confirmation", "8"),
        ("--measure", "full"),
    ],
)
def test_what_is_about_audits_is_refused_without_them(
    fulcra: Call, tmp_path: Path, option: tuple[str, str]
) -> None:
    left = fulcra("harden", "apothecary-sparse", "--no-audit", *option, "--out", tmp_path / "a")
    assert left.refusal == f"fulcra: --no-audit: nothing is audited; leave out {option[0]}"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("stopped", "code"), [(CLOSED, 0), ("250 steps are spent", 1)])
def test_a_budget_that_was_too_small_leaves_with_1(
    fulcra: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: str, code: int
) -> None:
    result = HardenResult.load(EVIDENCE / "harden.json")
    first = result.trainings[0].model_copy(update={"stopped": stopped, "taken": 25})
    made = result.model_copy(update={"trainings": (first, *result.trainings[1:]), "sides": ()})
    monkeypatch.setattr(hardening, "harden", lambda *rest: made)
    left = fulcra("harden", "apothecary-sparse", "--out", tmp_path / "a", "--quiet")
    assert left.code == code
    assert ("the budget was too small: at step 25" in left.err) is bool(code)


@pytest.mark.parametrize(
    ("change", "peft"),
    [
        ({}, False),
        ({"name": "/models/chat"}, True),
        ({"name": "org/chat"}, True),
        ({"name": "/models/chat.gguf", "gguf": GGUF}, False),
    ],
)
def test_peft_is_named_where_it_can_open_the_base(change: dict[str, object], peft: bool) -> None:
    base = HardenResult.load(EVIDENCE / "harden.json").model.model_copy(update=change)
    line = adapter_line(Path("runs/hard"), base)
    assert line.startswith("adapter   runs/hard: give it as MODEL")
    assert line.endswith(", or to peft") is peft


def test_what_is_compared_with_itself_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    options = ("--defence", "plain", "--beside", "plain", "--out", tmp_path / "a")
    left = fulcra("harden", "apothecary-sparse", *options)
    assert "--beside plain: is what is trained" in left.refusal


def test_more_confirmation_prompts_than_there_are_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    left = fulcra("harden", "apothecary-sparse", "--confirmation", "999", "--out", tmp_path / "a")
    assert "999 confirmation prompts are asked for, it brings 128" in left.refusal
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("option", "number", "says"),
    [
        ("--neurons", "5000", "neurons; ask for fewer"),
        ("--branches", "16000", "neurons of two branches each; ask for fewer"),
    ],
)
def test_more_neurons_than_there_are_is_one_line_before_anything_is_trained(
    fulcra: Call, tmp_path: Path, option: str, number: str, says: str
) -> None:
    left = fulcra("harden", "apothecary-sparse", option, number, "--out", tmp_path / "a")
    assert left.refusal.startswith(f"fulcra: {option} {number}")
    assert says in left.refusal
    assert not (tmp_path / "a").exists()


def test_a_sweep_reaches_the_audits_and_the_checks(
    fulcra: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = list[hardening.Plan]()

    def noted(model: Model, task: object, plan: hardening.Plan, *rest: object) -> None:
        plans.append(plan)
        raise InputError("that is all")

    monkeypatch.setattr(hardening, "harden", noted)
    for place, options in enumerate([(), ("--sweep", "256"), ("--sweep", "64", "--no-audit")]):
        out = tmp_path / str(place)
        assert fulcra("harden", "apothecary-sparse", *options, "--out", out).refusal
    swept = [None if plan.audits is None else plan.audits.candidates for plan in plans]
    assert swept == [4096, 256, None]
    assert [plan.effort.sample.swept for plan in plans] == [4096, 256, 64]
    assert "--sweep" in fulcra("harden", "apothecary-sparse", "--sweep", "0").refusal
