"""Code that comes with a model never runs unasked, and nobody is asked: in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fulcra import Behavior, Model
from fulcra.errors import ModelError
from fulcra.models.classifiers import load_classifier
from fulcra.models.loading import model_folder
from fulcra.protocol.source import SOURCE, Sources, remember, reopened_model
from fulcra.store import AUDIT, read_json, write_json
from tests.cli.conftest import Call
from tests.models.test_classifiers import saved

pytestmark = pytest.mark.slow

CODE = """
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM

Path(__file__).parent.joinpath("ran").touch()
Path({trace!r}).touch()


class OwnConfig(LlamaConfig):
    model_type = {model_type!r}


class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


class Hostile(NamedTuple):
    """A model folder with code of its own, and the file that the code writes when it runs."""

    folder: Path
    trace: Path


def hostile(folder: Path, model_type: str, source: str = "apothecary-sparse") -> Hostile:
    """A copy of an organism whose config and tokenizer name code that leaves a trace."""
    shutil.copytree(model_folder(source), folder)
    trace = folder.parent / "trace"
    (folder / "own.py").write_text(CODE.format(trace=str(trace), model_type=model_type))
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    put(folder / "config.json", model_type=model_type, auto_map=code)
    put(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnConfig", None]})
    return Hostile(folder, trace)


def put(path: Path, **changes: Any) -> None:
    """Puts values into a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class Ended(NamedTuple):
    """How a process ended, and what it left unread on standard input."""

    code: int
    err: str
    unread: str


def run_check(model: Hostile, *options: str) -> Ended:
    """`fulcra check` with "y" on standard input, as a file whose place tells what was read."""
    answers = model.folder.parent / "answers"
    answers.write_text("y\n" * 5)
    command = [sys.executable, "-m", "fulcra.cli", "check", str(model.folder), "-q", *options]
    environment = os.environ | {"HF_HOME": str(model.folder.parent / "hub"), "HF_HUB_OFFLINE": "1"}
    with answers.open() as stdin:
        left = subprocess.run(
            command,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=environment,
        )
        # the offset of an open file is shared with the process that inherited it
        return Ended(left.returncode, left.stderr, stdin.read())


def test_the_code_of_an_unknown_model_type_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    model = hostile(tmp_path / "mine", "nonsense")
    left = run_check(model)
    assert (left.code, left.unread, model.trace.exists()) == (2, "y\n" * 5, False)
    assert len(left.err.splitlines()) == 1
    assert "(auto_map) asks to run code that came with the model" in left.err


def test_a_model_of_a_family_is_read_by_the_library_and_not_by_its_own_code(tmp_path: Path) -> None:
    model = hostile(tmp_path / "mine", "llama")
    left = run_check(model)
    assert left == Ended(0, "", "y\n" * 5)
    assert not model.trace.exists()


def test_code_that_the_user_trusts_runs_with_a_warning(tmp_path: Path) -> None:
    model = hostile(tmp_path / "mine", "llama")
    put(model.folder / "tokenizer_config.json", auto_map={})
    left = run_check(model, "--trust-remote-code")
    assert (left.code, left.unread, model.trace.exists()) == (0, "y\n" * 5, True)
    assert "the code that comes with it is run" in left.err


def test_an_attention_kernel_from_elsewhere_is_refused(tmp_path: Path) -> None:
    model = hostile(tmp_path / "mine", "llama")
    put(model.folder / "config.json", attn_implementation="someone/kernel", auto_map=None)
    left = run_check(model)
    assert (left.code, len(left.err.splitlines())) == (2, 1)
    assert "attn_implementation someone/kernel" in left.err


def test_the_code_of_a_classifier_is_never_run(tmp_path: Path) -> None:
    folder = saved(tmp_path / "guard")
    put(folder / "config.json", model_type="nonsense", auto_map={"AutoConfig": "own.OwnConfig"})
    (folder / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="asks to run code that came with the model"):
        load_classifier(str(folder))


def test_a_run_does_not_make_the_code_of_its_model_run_again(
    run_copy: Path, sparse: Model, refusal: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(run_copy, sparse, refusal)
    assert "trust_remote_code" not in read_json(run_copy / SOURCE)["model"]
    monkeypatch.setattr(sparse, "origin", sparse.origin._replace(trust_remote_code=True))
    remember(run_copy, sparse, refusal)
    assert read_json(run_copy / SOURCE)["model"]["trust_remote_code"] is True
    with pytest.raises(ModelError, match=r"open the run with Sources\(trust_remote_code=True\)"):
        reopened_model(run_copy)
    with pytest.warns(UserWarning, match="the code that comes with it is run"):
        again = reopened_model(run_copy, Sources(trust_remote_code=True))
    assert again.sha256 == sparse.sha256


def test_a_run_of_trusted_code_is_opened_again_by_the_user_s_own_word(
    fulcra: Call, run_copy: Path, sparse: Model, refusal: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "origin", sparse.origin._replace(trust_remote_code=True))
    remember(run_copy, sparse, refusal)
    assert "(--trust-remote-code)" in fulcra("interventions", run_copy, "--quiet").refusal
    rerun = ("verify", run_copy, "--rerun", "1")
    assert "(--trust-remote-code)" in fulcra(*rerun).refusal
    with pytest.warns(UserWarning, match="the code that comes with it is run"):
        assert "ok   rollouts again" in fulcra(*rerun, "--trust-remote-code").out
    # made of other weights: the run is refused after its model was opened
    run = read_json(run_copy / AUDIT)
    write_json(run_copy / AUDIT, run | {"model": run["model"] | {"sha256": "0"}})
    with pytest.warns(UserWarning, match="the code that comes with it is run"):
        left = fulcra("interventions", run_copy, "--trust-remote-code", "--quiet")
    assert "was made of another apothecary-sparse" in left.refusal


def test_a_run_of_trusted_code_is_judged_again_without_any_code(
    fulcra: Call, run_copy: Path, sparse: Model, refusal: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "origin", sparse.origin._replace(trust_remote_code=True))
    remember(run_copy, sparse, refusal)
    assert fulcra("judge", run_copy, "--judge", "oracle", "--quiet").code == 0


def test_every_command_that_loads_a_model_lets_the_user_trust_its_code() -> None:
    from typer.main import get_command

    from fulcra.cli.app import app

    commands: Any = get_command(app)
    for name, command in commands.commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        if "--dtype" in options:
            assert "--trust-remote-code" in options, name
