"""One way to commit: one caller, and one file that makes what is committed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fulcra

PACKAGE = Path(fulcra.__file__).parent


def callers(name: str) -> Iterator[tuple[str, str]]:
    """(file, function) of every call of a function by its name, as itself or as an attribute."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and calls(node, name):
                yield path.relative_to(PACKAGE).as_posix(), node.name


def calls(function: ast.FunctionDef, name: str) -> bool:
    called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = [getattr(node, "id", getattr(node, "attr", "")) for node in called]
    return name in names


def test_nothing_is_committed_but_by_measure_committed_and_an_extension() -> None:
    assert list(callers("commit")) == [
        ("protocol/commit.py", "measure_committed"),
        ("release/extension.py", "_measured"),
    ]


@pytest.mark.parametrize("name", ["commitment", "branch_entry", "plan_entry"])
def test_a_commitment_is_made_in_its_own_file(name: str) -> None:
    assert {path for path, _ in callers(name)} == {"protocol/commit.py"}
