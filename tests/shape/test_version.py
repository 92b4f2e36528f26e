"""The version stands once in pyproject.toml, and nothing else tells another."""

import re
import tomllib

from packaging.version import Version

from tests.conftest import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_names_the_version_that_a_wheel_has() -> None:
    assert re.findall(r"^version: (.+)$", text("CITATION.cff"), re.MULTILINE) == [VERSION]


def test_the_wheel_that_a_page_installs_is_the_one_that_is_built() -> None:
    installed = re.compile(r"(?:pip install |--from\s+\./)fulcra-([\w.]+)-py3-none-any\.whl")
    for name in ("README.md", "docs/compatibility.md"):
        assert installed.findall(text(name)) == [VERSION, VERSION], name


def test_what_is_unreleased_has_a_version_of_its_own() -> None:
    heads = re.findall(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)
    released = Version(next(head for head in heads if head != "Unreleased"))
    version = Version(VERSION)
    assert version.is_devrelease == (heads[0] == "Unreleased")
    assert version > released if version.is_devrelease else version == released
