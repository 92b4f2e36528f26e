"""Every package asked for is in decision 31 with its reason; every import is asked for."""

import ast
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "decisions" / "0031-dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Packages whose import has another name.
IMPORTED = {
    "lingua-language-detector": "lingua",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "mlflow-skinny": "mlflow",
}
#: What an extra brings besides the packages that it names, as the page says.
BROUGHT = {"anyio", "fastapi", "starlette", "uvicorn"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def rows(columns: int) -> list[list[str]]:
    """The rows of the page's tables with so many columns, heads left out, cell by cell."""
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == columns]
    return [row for row in cells if row[0] not in ("package", "extra")]


def base() -> dict[str, list[str]]:
    """What the first table says of each package: its use, and what it brings too."""
    names = PROJECT["optional-dependencies"]
    return {canonical(row[0]): row[1:] for row in rows(3) if row[0] not in names}


def extras() -> dict[str, set[str]]:
    """The packages of each extra, as the second table says."""
    table = [row for row in rows(3) if row[0] in PROJECT["optional-dependencies"]]
    return {name: {canonical(part) for part in packages.split(", ")} for name, packages, _ in table}


def test_every_package_of_a_plain_install_has_its_reason() -> None:
    asked = {canonical(Requirement(wish).name) for wish in PROJECT["dependencies"]}
    assert set(base()) == asked
    assert all(use for use, _ in base().values())


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_every_package_of_an_extra_is_on_the_page(extra: str) -> None:
    wishes = [Requirement(wish) for wish in PROJECT["optional-dependencies"][extra]]
    asked = {canonical(wish.name) for wish in wishes if wish.name != "fulcra"}
    assert {name.partition("[")[0] for name in extras()[extra]} == asked


def test_every_bound_but_those_of_extras_is_a_lower_one() -> None:
    unbounded = [wish for wish in PROJECT["dependencies"] if ">=" not in wish]
    assert unbounded == []


def test_the_source_imports_nothing_that_is_not_asked_for() -> None:
    asked = {canonical(Requirement(wish).name) for wish in PROJECT["dependencies"]}
    brought = {canonical(name) for _, more in base().values() for name in more.split(", ")}
    optional = {name.partition("[")[0] for names in extras().values() for name in names}
    names = {IMPORTED.get(name, name) for name in asked | brought | optional} | BROUGHT
    allowed = {name.replace("-", "_") for name in names}
    assert {name: path for name, path in imports().items() if name not in allowed} == {}


def imports() -> dict[str, str]:
    """Every package outside the standard library that the source imports, with a file that does."""
    outside = {}
    for path in sorted((ROOT / "src" / "fulcra").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in modules(node):
                outside[module.partition(".")[0]] = str(path.relative_to(ROOT))
    own = {*sys.stdlib_module_names, "fulcra"}
    return {name: path for name, path in outside.items() if name not in own}


def modules(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
