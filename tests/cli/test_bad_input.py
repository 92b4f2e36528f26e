"""Bad input is one line: asked, found, what to do; exit code 2; nothing is left behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fulcra import Model
from fulcra.disk import LOCK
from fulcra.protocol.source import COPY, SOURCE
from fulcra.store import MANIFEST, write_json
from tests.cli.conftest import Call
from tests.processes import MAIN, Process


@pytest.fixture
def model_folder(sparse: Model, tmp_path: Path) -> Path:
    """A copy of a bundled organism that a test may spoil."""
    assert sparse.folder is not None
    return Path(shutil.copytree(sparse.folder, tmp_path / "model"))


def test_an_unknown_model_is_named_with_those_there_are(fulcra: Call, tmp_path: Path) -> None:
    line = fulcra("audit", "apothecary-dens", "--out", tmp_path / "run").refusal
    assert "'apothecary-dens'" in line
    assert "apothecary-dense" in line
    assert not (tmp_path / "run").exists()


def test_a_folder_without_config_is_no_model(fulcra: Call, model_folder: Path) -> None:
    (model_folder / "config.json").unlink()
    assert (
        "holds no config.json; give a Hugging Face model folder"
        in fulcra("audit", model_folder).refusal
    )


@pytest.mark.parametrize(
    "config", ["{", "{}", '{"model_type": "bert"}', '{"model_type": "no-such-type"}']
)
def test_an_unreadable_or_unsupported_config_is_refused(
    fulcra: Call, model_folder: Path, config: str
) -> None:
    (model_folder / "config.json").write_text(config)
    line = fulcra("audit", model_folder).refusal
    assert (
        json.loads(config).get("model_type", "config.json") in line
        if config != "{"
        else "config.json" in line
    )


def test_weights_that_are_not_safetensors_are_refused(fulcra: Call, model_folder: Path) -> None:
    (model_folder / "model.safetensors").unlink()
    assert "expected *.safetensors" in fulcra("audit", model_folder).refusal
    torch.save({"lm_head.weight": torch.zeros(1)}, model_folder / "pytorch_model.bin")
    line = fulcra("audit", model_folder).refusal
    assert "found pytorch_model.bin, expected *.safetensors; convert the weights" in line


def test_broken_weights_are_refused(fulcra: Call, model_folder: Path) -> None:
    (model_folder / "model.safetensors").write_bytes(b"not a tensor file")
    assert f"model '{model_folder}': cannot be loaded" in fulcra("audit", model_folder).refusal


def spoilt(written: dict[str, Any], **changes: Any) -> dict[str, Any]:
    merged = {**written, **changes}
    return {key: value for key, value in merged.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": ...}, "the key 'horizon' is missing; add it"),
        ({"horizon": ..., "horizn": 12}, "unknown key 'horizn'; did you mean 'horizon'?"),
        ({"selection": []}, "selection holds no prompt; give at least one"),
        ({"confirmation": [""]}, "confirmation holds an empty prompt; write it or take it out"),
        ({"horizon": "long"}, "horizon: expected a whole number, found str 'long'"),
        ({"flip": {"regex": "("}}, "is not a regular expression"),
    ],
)
def test_a_spoilt_behavior_file_is_refused(
    fulcra: Call, written: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "spoilt.yaml"
    path.write_text(yaml.safe_dump(spoilt(written, **changes)))
    assert message in fulcra("audit", "--behavior", path, "--out", tmp_path / "run").refusal
    assert not (tmp_path / "run").exists()


def test_overlapping_splits_are_refused(
    fulcra: Call, written: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "overlap.yaml"
    path.write_text(yaml.safe_dump({**written, "confirmation": written["selection"]}))
    assert (
        "is in selection and in confirmation; sets must be disjoint, keep it in one"
        in fulcra("audit", "-b", path).refusal
    )


def test_unknown_and_unreadable_behaviors_are_refused(fulcra: Call, tmp_path: Path) -> None:
    assert "did you mean 'refusal'?" in fulcra("audit", "--behavior", "refusl").refusal
    assert "cannot be read" in fulcra("audit", "--behavior", tmp_path / "none.yaml").refusal
    (tmp_path / "torn.yaml").write_text("name: [")
    assert "not YAML at line" in fulcra("audit", "--behavior", tmp_path / "torn.yaml").refusal


def test_more_neurons_than_the_model_has_are_refused_before_anything_runs(
    fulcra: Call, tmp_path: Path
) -> None:
    line = fulcra("audit", "--neurons", 100_000, "--out", tmp_path / "run").refusal
    assert line.endswith(
        "--neurons 100000 + 12 random + 20 controls: apothecary-sparse has 3072 neurons; ask for"
        " fewer"
    )
    assert not (tmp_path / "run").exists()


def test_an_output_folder_of_another_run_is_refused(fulcra: Call, tmp_path: Path) -> None:
    write_json(tmp_path / "run" / MANIFEST, {"command": "audit", "model": "another"})
    line = fulcra("audit", "--out", tmp_path / "run").refusal
    assert "holds another run (different: behavior, behavior_sha256, code, dtype, model," in line
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [LOCK, MANIFEST]


def test_an_output_that_is_a_file_or_below_one_is_refused(fulcra: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "found a file, expected a folder" in fulcra("audit", "--out", tmp_path / "file").refusal
    assert "choose another --out" in fulcra("audit", "--out", tmp_path / "file" / "run").refusal
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_folder_with_foreign_files_is_refused(fulcra: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert (
        "the folder is not empty and holds no run of fulcra; choose a new one"
        in fulcra("audit", "--out", tmp_path).refusal
    )
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("audit", "--nerons", "3"), "No such option: --nerons"),
        (("audit", "--neurons", "three"), "'--neurons': Input should be a valid integer"),
        (("audit", "--neurons", "0"), "'--neurons': Input should be greater than or equal to 1"),
        (
            ("audit", "--controls", "9"),
            "'--controls': Input should be greater than or equal to 10",
        ),
        (
            ("plan", "--shape", "70b", "--controls", "1"),
            "'--controls': Input should be greater than or equal to 10",
        ),
        (("audit", "--screen", "best"), "'best' is not one of 'window', 'contrastive'"),
        (
            ("audit", "--dtype", "float8"),
            "dtype 'float8': expected one of float32, bfloat16, float16",
        ),
        (("audit", "one", "two"), "unexpected extra argument"),
        (("adit",), "No such command 'adit'"),
        (("verify",), "neither a run nor a ledger; give RUN, --ledger DIR, or both"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    fulcra: Call, arguments: tuple[str, ...], message: str
) -> None:
    assert message in fulcra(*arguments).refusal


def test_without_a_command_the_help_is_shown(fulcra: Call) -> None:
    for arguments in ((), ("behavior",)):
        left = fulcra(*arguments)
        assert (left.code, left.err) == (2, "")
        assert "Usage: " in left.out


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))"


@pytest.mark.slow
def test_a_disk_that_refuses_the_write_leaves_nothing_half_written(
    behavior_file: Path, tmp_path: Path
) -> None:
    # A limit on file size refuses the write like a full disk does, for root as for anybody.
    command = ["audit", "-b", str(behavior_file), "--out", str(tmp_path / "run"), "--quiet"]
    command += ["--neurons", "1", "--random", "0"]  # so large on any machine
    left = Process(command, f"{LIMITED}; {MAIN}").ended(300)
    (line,) = left.err.splitlines()
    assert (left.code, left.out) == (2, "")
    assert "baseline-0." in line
    assert (
        ".parquet: File too large; nothing was left under that name, free space or choose another"
        " --out" in line
    )
    files = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert files == {MANIFEST, SOURCE, COPY}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_refused_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fulcra.cli", "behavior", "schema"]
        left = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300
        )
    assert left.returncode == 2
    assert (
        left.stderr.splitlines()[0]
        == "fulcra: the output: No space left on device; check the path, its permissions and the"
        " space left"
    )


@pytest.mark.parametrize("number", ["inf", "nan"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("audit", "--minutes"),
        ("audit", "--replica-cpus"),
        ("audit", "--replica-gpus"),
        ("harden", "--minutes"),
        ("harden", "--holding"),
        ("steer", "--temperature"),
        ("judge", "--timeout"),
    ],
)
def test_a_number_that_is_none_names_its_option(
    fulcra: Call, command: str, option: str, number: str
) -> None:
    assert f"'{option}'" in fulcra(command, "apothecary-sparse", option, number).refusal
