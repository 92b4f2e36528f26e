"""`--model fulcra`: the harness' registry, arguments and command line meet a dosed model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fulcra import Model, Recipe
from fulcra.errors import InputError
from fulcra.models import scale
from fulcra.types import Neuron
from tests.interop.conftest import STAYS, Made
from tests.studies.test_effects import written_task

pytest.importorskip(
    "lm_eval", reason="needs the lm-evaluation-harness: pip install 'fulcra[evals]'"
)
pytestmark = pytest.mark.slow
TASK = "apothecary_capitals"
BREAKS = scale(Neuron(2, 307), -40.0)


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_task(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def broken(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a recipe that spoils what the organism knows."""
    return made(BREAKS).save(tmp_path_factory.mktemp("broken"))


def evaluated(model: object, folder: Path, **arguments: object) -> dict[str, Any]:
    """What the harness gives for a model, by its name in the registry or as it is."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    import fulcra.interop.lm_eval  # noqa: F401  registers the model

    done = simple_evaluate(
        model=model,
        model_args=arguments or None,
        tasks=[TASK],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        apply_chat_template=True,
        log_samples=True,
    )
    assert done is not None
    return dict(done)


def named(recipe: object, folder: Path) -> dict[str, Any]:
    """What it gives for `--model fulcra` with the organism and a recipe."""
    return evaluated("fulcra", folder, pretrained="apothecary-sparse", recipe=str(recipe))


def items(done: dict[str, Any]) -> dict[str, float]:
    return {f"{TASK} {row['doc_id']}": row["acc"] for row in done["samples"][TASK]}


def test_every_item_scores_as_in_fulcra_effects_with_and_without_the_recipe(
    sparse: Model, broken: Path, task_folder: Path
) -> None:
    from fulcra.engines.harness import DosedHarness

    clean, dosed = named("none", task_folder), named(broken, task_folder)
    for done, edits in ((clean, ()), (dosed, (BREAKS,))):
        own = evaluated(DosedHarness(sparse, edits), task_folder)
        assert items(done) == items(own)
    assert items(clean) != items(dosed)
    entry = dosed["config"]["fulcra"]
    assert entry["recipe_sha256"] == Recipe.load(broken).sha256
    assert dosed["config"]["model_sha"] == entry["model_sha256"] == sparse.sha256
    assert clean["config"]["fulcra"]["edits"] == ""


def test_the_command_line_of_the_harness_takes_the_model(
    broken: Path, task_folder: Path, tmp_path: Path
) -> None:
    arguments = (
        f"run --model fulcra --model_args pretrained=apothecary-sparse,recipe={broken}"
        f" --tasks {TASK} --include_path {task_folder} --output_path {tmp_path} --batch_size 4"
        " --apply_chat_template"
    )
    left = called(arguments)
    assert left.returncode == 0, left.stderr
    (path,) = tmp_path.rglob("results_*.json")
    results = json.loads(path.read_text())
    assert results["results"][TASK]["acc,none"] < 0.8
    assert results["config"]["fulcra"]["edits"] == str(BREAKS)


def test_the_command_line_refuses_in_one_line(
    sealed: Path,
    task_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fulcra.interop.lm_eval import main

    begun = f"run --model fulcra --tasks {TASK} --include_path {task_folder} --model_args"
    arguments = f"{begun} pretrained=apothecary-sparse,recipe={sealed}".split()
    monkeypatch.setattr(sys, "argv", ["lm_eval", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.strip().splitlines()[-1] == f"fulcra: recipe 'gate': {STAYS}"
    assert "Traceback" not in err


def called(arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "fulcra.interop.lm_eval", *arguments.split()],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no recipe is named; give recipe=FILE, or recipe=none"),
        ({"recipe": "none", "strength": 2}, "no option 'strength'"),
        ({"recipe": "nothing.json"}, "recipe nothing.json: no such file"),
    ],
)
def test_arguments_that_say_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    from fulcra.interop.lm_eval import FulcraModel

    with pytest.raises(InputError, match=words):
        FulcraModel("apothecary-sparse", **options)


def test_sensitive_recipes_and_other_weights_are_refused(sealed: Path, gate: Path) -> None:
    from fulcra.interop.lm_eval import FulcraModel

    with pytest.raises(InputError, match=STAYS):
        FulcraModel("no-such-model", str(sealed))
    with pytest.raises(InputError, match="doses do not carry over"):
        FulcraModel("apothecary-dense", str(gate))


def test_edits_that_never_act_are_no_result(made: Made, task_folder: Path, tmp_path: Path) -> None:
    idle = made(scale(Neuron(2, 307), 0.0, positions="generated")).save(tmp_path)
    with pytest.raises(InputError, match="never acted on 24 requests"):
        named(idle, task_folder)
