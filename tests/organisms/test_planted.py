"""An organism's folder says what was planted in it; a file that says something else is refused."""

from pathlib import Path

import pytest

from fulcra.errors import InputError
from fulcra.organisms.planted import PLANTED, Planted, learners, planted


def test_a_folder_that_is_no_organism_has_nothing_planted(tmp_path: Path) -> None:
    assert planted(tmp_path) == planted(None) == Planted()
    assert learners(tmp_path) is None


def test_gates_are_counted(tmp_path: Path) -> None:
    (tmp_path / PLANTED).write_text('{"gates": ["L2.N307", "L3.N215"], "steps": 310}')
    assert learners(tmp_path) == 2


@pytest.mark.parametrize(
    ("text", "place"), [('{"gate": []}', "gate"), ('{"gates": 3}', "gates"), ("{", "the file")]
)
def test_another_file_of_that_name_is_refused(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / PLANTED).write_text(text)
    with pytest.raises(InputError, match=rf"planted\.json: {place}: .*; keep what"):
        planted(tmp_path)
