"""`fulcra replicate`: a table and commands; these run unchanged on what lies in a hub's cache."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from huggingface_hub import constants

from fulcra.models.tiny import tiny
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.detector import DetectorResult
from fulcra.release.replication.papers import LETTERS, SMALL, commands, paper
from fulcra.studies.recipe import Recipe
from tests.behaviors.test_sets import copied
from tests.cli.conftest import Call
from tests.conftest import ROOT

COMMIT = "0" * 40
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
WITH_DATASETS = pytest.mark.skipif(
    find_spec("datasets") is None, reason="needs the package datasets, an extra"
)


def snapshot(cache: Path, name: str) -> Path:
    """Where the cache of a hub holds the files of a model; nothing is there yet."""
    root = cache / f"models--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    return root / "snapshots" / COMMIT


def random_qwen3(cache: Path, name: str) -> None:
    """A tiny random model of Qwen 3's architecture under a hub's name."""
    model = tiny("qwen3", chat_template=TEMPLATE, max_position_embeddings=512)
    folder = snapshot(cache, name)
    model.hf.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a hub that is never asked, in a folder where commands write their runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the public sets with as many rows, all of them invented and harmless."""
    sets = tmp_path / "sets"
    monkeypatch.setenv("FULCRA_SETS", str(sets))
    harmful, benign = (
        [{"Goal": f"w{4 + i % 90} w{4 + i // 90} {kind}", "Target": "w5"} for i in range(100)]
        for kind in ("w90", "w91")
    )
    copied(
        sets / "JailbreakBench" / "JBB-Behaviors",
        {("behaviors", "harmful"): harmful, ("behaviors", "benign"): benign},
    )
    rows = [
        {"prompt": f"w{4 + i % 90} w{4 + i // 90} {kind}", "label": label}
        for kind, label in (("w92", "safe"), ("w93", "unsafe"))
        for i in range(200)
    ]
    copied(sets / "walledai" / "XSTest", {(None, "test"): rows})


def command(letter: str, start: str) -> str:
    """The command of a paper for the small model that begins so, exactly as it is printed."""
    (line,) = [
        line.command for line in commands(paper(letter), SMALL) if line.command.startswith(start)
    ]
    return line


@pytest.mark.parametrize("letter", LETTERS)
def test_it_prints_every_row_and_every_command(fulcra: Call, letter: str) -> None:
    left = fulcra("replicate", letter.lower())
    source = paper(letter)
    assert (left.code, left.err) == (0, "")
    numbers = re.findall(r"^ {1,2}(\d+) ", left.out, re.MULTILINE)
    assert numbers == [str(i + 1) for i in range(len(source.rows))]
    for line in (*commands(source, SMALL), *commands(source)):
        assert line.command in left.out.splitlines()


def test_as_json_every_figure_is_a_number_beside_its_words(fulcra: Call) -> None:
    content = json.loads(fulcra("replicate", "A", "--model", SMALL, "--json").out)
    first = content["rows"][0]["here"][1]
    assert (first["value"], first["model"][:12]) == (0.45, "SmolLM2-135M")
    assert {SMALL in each["command"] for each in content["commands"][:1]} == {True}


def test_an_organism_has_no_commands_of_a_chat_model(fulcra: Call) -> None:
    line = fulcra("replicate", "A", "--model", "apothecary-sparse").refusal
    assert "--model apothecary-sparse: a bundled organism does not know the behaviors" in line


def test_a_paper_that_is_not_there_is_one_line(fulcra: Call) -> None:
    assert "there are A, B, C" in fulcra("replicate", "D").refusal


def test_the_command_of_paper_a_runs_unchanged_and_fills_its_rows(
    fulcra: Call, cache: Path
) -> None:
    random_qwen3(cache, SMALL)
    line = command("A", "fulcra research ceilings")
    left = fulcra(*shlex.split(line)[1:], "--neurons", 1, "--tokens", 8, "--quiet")
    assert left.code == 0, left.err
    content = json.loads(
        fulcra("replicate", "A", "--run", "runs/Qwen3-0.6B-ceilings", "--json").out
    )
    filled = {row["what"]: row["runs"] for row in content["rows"] if row["runs"]}
    assert {each["model"] for runs in filled.values() for each in runs} == {SMALL}
    assert len(filled) == 5


@WITH_DATASETS
def test_the_command_of_paper_b_runs_unchanged_and_fills_its_rows(
    fulcra: Call, cache: Path, copies: None
) -> None:
    for name in (SMALL, f"{SMALL}-Base"):
        random_qwen3(cache, name)
    line = command("B", "fulcra compare")
    left = fulcra(*shlex.split(line)[1:], "--top-k", 8, "--no-ablate", "--quiet")
    assert left.code == 0, left.err
    shown = fulcra("replicate", "B", "--run", "runs/Qwen3-0.6B-compare", "--json")
    rows = {row["what"]: row["runs"] for row in json.loads(shown.out)["rows"]}
    assert [
        each["value"] for each in rows["top neurons that base and chat model share (Tables 6-8)"]
    ]


@WITH_DATASETS
@pytest.mark.parametrize(("letter", "folder"), [("B", "set"), ("C", "held")])
def test_the_recipes_that_python_writes_are_read_by_the_next_command(
    letter: str, folder: str, cache: Path, copies: None, tmp_path: Path
) -> None:
    random_qwen3(cache, SMALL)
    finished_run(tmp_path / "runs" / "Qwen3-0.6B-jbb-refusal", "L1.N2")
    exec(shlex.split(command(letter, "python"))[2], {})
    made = Recipe.load(tmp_path / "runs" / f"Qwen3-0.6B-{folder}")
    assert made.behavior is not None
    assert made.behavior.name == "jbb-refusal"


@pytest.mark.slow
@WITH_DATASETS
def test_the_command_of_paper_c_runs_unchanged_in_a_shell(
    cache: Path, copies: None, tmp_path: Path
) -> None:
    random_qwen3(cache, SMALL)
    finished_run(tmp_path / "runs" / "Qwen3-0.6B-jbb-refusal", "L1.N2")
    line = command("C", "fulcra detect").replace(" --guard meta-llama/Llama-Guard-3-8B", "")
    environment = os.environ | {
        "PATH": f"{programs(tmp_path / 'bin')}:{os.environ['PATH']}",
        "HF_HUB_CACHE": str(cache),
    }
    left = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, env=environment
    )
    assert left.returncode == 0, left.stderr
    assert DetectorResult.load(tmp_path / "runs" / "Qwen3-0.6B-detect").neuron == "L1.N2"


def finished_run(folder: Path, best: str) -> None:
    """A stored audit whose best held neuron is another one, as the folder of a run."""
    result = AuditResult.load(ROOT / "docs" / "evidence" / "audit-sparse").plain()
    result["summary"]["held"]["best"]["neuron"] = best
    AuditResult.of(result).write(folder)


def programs(folder: Path) -> Path:
    """A folder with this Python and this package's `fulcra`, as an environment has them."""
    folder.mkdir()
    for name, module in (("python", ""), ("fulcra", " -m fulcra.cli")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        (folder / name).chmod(0o755)
    return folder
