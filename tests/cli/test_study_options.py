"""The options that every study of one model has, defined once and given as one value."""

import inspect

import pytest

from fulcra.cli.ceilings import ceilings_command
from fulcra.cli.census import census_command
from fulcra.cli.contexts import contexts_command
from fulcra.cli.multiply import multiply_command
from fulcra.cli.study import Study
from fulcra.cli.unfold import unfolded
from tests.cli.conftest import Call

COMMANDS = {
    "ceilings": ceilings_command,
    "census": census_command,
    "contexts": contexts_command,
    "multiply": multiply_command,
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_study_of_one_model_has_its_options(name: str) -> None:
    options = list(inspect.signature(COMMANDS[name]).parameters)
    assert options[0] == "model"
    assert tuple(options[-len(Study._fields) + 1 :]) == Study._fields[1:]
    assert "study" not in options


def test_a_command_gets_its_own_options_and_the_study_as_one_value() -> None:
    calls: list[tuple[Study, int]] = []

    @unfolded
    def command(size: int = 3, *, study: Study) -> None:
        calls.append((study, size))

    fields = Study("apothecary-sparse", seed=4, quiet=True)
    command(size=5, **fields._asdict())
    assert calls == [(fields, 5)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_model_that_is_nowhere_is_one_line(fulcra: Call, name: str) -> None:
    assert "no bundled organism" in fulcra("research", name, "no/where/at/all").refusal
