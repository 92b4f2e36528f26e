"""What is counted, on source whose counts are known."""

from pathlib import Path

import pytest

from tools.shape import imports
from tools.shape.functions import functions, publics
from tools.shape.names import banned_names
from tools.shape.source import (
    Source,
    files_longer,
    lines_wider,
    mentions,
    read_sources,
    spread,
    string_subscripts,
)
from tools.shape.startup import cpu_seconds

TEXT = '''
from typing import Any, overload


class Reader:
    """One."""

    kept: int

    def read(self, path, /, *paths, width=1, **options) -> dict[str, Any]:
        """What the file holds, line
        by line, as it stands.
        """
        found = options["found"]
        for at in path:

            def inner() -> None:
                pass

        return found

    @overload
    def again(self, known): ...

    def _hidden(self):
        return 1


def bare():
    """Nothing else here."""
'''


def sources(folder: Path, **texts: str) -> list[Source]:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return read_sources(folder)


def test_a_body_begins_after_the_docstring_and_ends_with_its_last_line(tmp_path: Path) -> None:
    bodies = {f.place.split()[1]: f.body for f in functions(sources(tmp_path, a=TEXT))}
    assert bodies == {"read": 7, "inner": 1, "again": 1, "_hidden": 1, "bare": 0}


def test_parameters_are_all_that_are_declared_but_self(tmp_path: Path) -> None:
    parameters = {f.place.split()[1]: f.parameters for f in functions(sources(tmp_path, a=TEXT))}
    assert parameters["read"] == 4
    assert parameters["_hidden"] == 0


def test_any_counts_wherever_it_stands_in_what_is_returned(tmp_path: Path) -> None:
    text = "def a() -> 'list[Any]': ...\ndef b() -> AnyStr: ...\ndef c(x: Any) -> int: ...\n"
    returned = [f.returns_any for f in functions(sources(tmp_path, a=text))]
    assert returned == [True, False, False]


def test_public_names_are_those_that_no_underscore_and_no_overload_hides(tmp_path: Path) -> None:
    public = {p.place.split()[1]: p.words for p in publics(sources(tmp_path, a=TEXT))}
    assert public == {"Reader": 1, "read": 10, "bare": 3}


def test_banned_names_are_those_given_to_values_and_not_those_of_fields(tmp_path: Path) -> None:
    places = banned_names(sources(tmp_path, a=TEXT))
    assert sorted(places) == ["a.py:14 found", "a.py:15 at", "a.py:23 known"]
    text = "try:\n    pass\nexcept OSError as said:\n    print(said, [one for one in ()])\n"
    assert len(banned_names(sources(tmp_path, a=text))) == 2


def test_lines_and_files_are_counted_as_they_stand(tmp_path: Path) -> None:
    read = sources(tmp_path, long="x = 1\n" * 12, wide="#" * 101)
    assert files_longer(read, 11) == ("long.py 12 lines",)
    assert lines_wider(read, 100) == ("wide.py:1",)


def test_strings_that_read_a_value_are_counted(tmp_path: Path) -> None:
    read = sources(tmp_path, a=TEXT, b="row['a']['b'] = row[1]\n")
    assert string_subscripts(read) == 3
    assert mentions(read, "dict[str, Any]") == 1


def test_a_spread_names_sizes_that_occur() -> None:
    assert spread(range(1, 101)) == (50.5, 91, 100, 100)
    assert spread([7]) == (7, 7, 7, 7)


TYPES_ONLY = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import planted.upper.stairs
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package of two rooms; `upper` has three floors, a subfolder one of them."""
    files = {
        "__init__": "import json",
        "lower/__init__": "import decimal",
        "upper/__init__": "",
        "upper/roof": "from planted.upper.rooms import left\nimport planted.upper.stairs",
        "upper/rooms/__init__": "",
        "upper/rooms/left": "from planted.upper.rooms import right\nimport planted.upper.stairs",
        "upper/rooms/right": "",
        "upper/stairs": "def up():\n    import planted.lower.stone",
        "lower/stone": TYPES_ONLY,
    }
    for name, text in files.items():
        path = tmp_path / "planted" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(imports, "PACKAGE", "planted")
    return tmp_path


def test_floors_are_the_longest_chain_and_a_subfolder_is_one_node(planted: Path) -> None:
    assert imports.room(imports.import_graph(planted), "planted.upper") == (3, 3, 3)


def test_a_closure_holds_imports_in_functions_and_the_folders_above(planted: Path) -> None:
    loaded = imports.closure(imports.import_graph(planted), "planted.upper.stairs")
    modules = {module.removeprefix("planted.") for module in loaded.modules}
    assert modules == {"upper", "upper.stairs", "lower", "lower.stone"}
    assert loaded.outside == {"decimal", "typing"}


def test_a_circle_is_named(planted: Path) -> None:
    assert imports.circle(imports.import_graph(planted)) == ()
    (planted / "planted" / "lower" / "stone.py").write_text("import planted.upper.stairs")
    circle = imports.circle(imports.import_graph(planted))
    assert set(circle) == {"planted.lower.stone", "planted.upper.stairs"}


def test_a_process_costs_the_seconds_it_works(tmp_path: Path) -> None:
    assert cpu_seconds(("-c", "sum(range(10**6))"), tmp_path, 1) > 0
