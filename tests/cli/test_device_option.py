"""`--device` reaches every model that a command loads, guards and judges too."""

from pathlib import Path
from typing import Any

import pytest

from fulcra import Behavior, Model
from tests.cli.conftest import Call
from tests.cli.test_effects_command import written
from tests.models.test_classifiers import saved

COMMANDS = [
    "behavior table apothecary-sparse --out DIR",
    "behavior try apothecary-sparse -b refusal",
    "exemplars apothecary-sparse L2.N307 --text FILE --out DIR",
    "monitor fit apothecary-sparse --out DIR",
    "research chances apothecary-sparse --out DIR",
    "window apothecary-sparse L2.N307+ --out DIR",
    "judge RUN --judge model:apothecary-sparse",
    "judge RUN --judge guard:apothecary-sparse",
]
REFUSED = "device 'cuda:99': torch cannot use it here"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_not_there_is_one_line(fulcra: Call, tmp_path: Path, command: str) -> None:
    places = {"DIR": tmp_path / "out", "FILE": __file__}
    words = [places.get(word, word) for word in command.split()]
    assert REFUSED in fulcra(*words, "--device", "cuda:99").refusal
    assert not (tmp_path / "out").exists()


def test_a_recipe_is_opened_on_the_device(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    recipe = ("apothecary-sparse", "-r", written(sparse, refusal, tmp_path), "--device", "cuda:99")
    assert REFUSED in fulcra("steer", *recipe, "-p", "hello").refusal
    assert REFUSED in fulcra("export", *recipe, "--out", tmp_path / "dose.gguf").refusal


def test_every_command_that_loads_a_model_has_a_device() -> None:
    from typer.main import get_command

    from fulcra.cli.app import app

    def commands(group: Any, path: str = "") -> dict[str, set[str]]:
        every: dict[str, set[str]] = {}
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                every |= commands(command, f"{path}{name} ")
            else:
                every[path + name] = {option for each in command.params for option in each.opts}
        return every

    for name, options in commands(get_command(app)).items():
        assert "--dtype" not in options or "--device" in options, name


def test_a_guard_is_loaded_where_the_model_is(tmp_path: Path) -> None:
    from fulcra.errors import InputError
    from fulcra.judges.registry import judge_named
    from fulcra.models.classifiers import load_classifier
    from fulcra.studies.detector import Guards

    assert Guards().device == "cpu"
    with pytest.raises(InputError, match=REFUSED):
        load_classifier(str(saved(tmp_path)), "cuda:99")
    with pytest.raises(InputError, match=REFUSED):
        judge_named("model:apothecary-sparse", device="cuda:99")
    assert load_classifier(str(tmp_path), "auto").log_probs(["w5"]).device.type == "cpu"
