"""The docs site lists every page, and its written pages say what the source and the evidence say.

That links lead somewhere is held by `mkdocs build --strict`, in `make check`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fulcra
from tests.shape.test_docs import pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEAD = (
    "Written by `make commands`; do not edit. What stands under `research` answers to its"
    " short name too."
)
COMMANDS = ("-m", "typer", "fulcra.cli", "utils", "docs", "--name", "fulcra")
#: Folders of one machine; `/run` and others stand in pages as examples.
MACHINE = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work|tmp|opt|mnt)/")
#: A figure of a table: .054, 1,379, 69 %, 7 of 11; names such as L2.N307 hold none.
FIGURE = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(?!\w|[.,]\d)")
HAND_WRITTEN_LINES = 200

Entry = str | dict[str, "Entry"] | list["Entry"]


def site() -> dict[str, Entry]:
    """What mkdocs.yml says."""
    loaded: dict[str, Entry] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return loaded


def listed(entry: Entry) -> list[str]:
    """The pages of the navigation, in order."""
    if isinstance(entry, str):
        return [entry]
    entries = entry.values() if isinstance(entry, dict) else entry
    return [page for inner in entries for page in listed(inner)]


def test_the_navigation_lists_every_page_once() -> None:
    written = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(listed(site()["nav"])) == sorted(written)


def test_the_site_fetches_nothing() -> None:
    theme = site()["theme"]
    assert isinstance(theme, dict)
    assert theme["font"] is False
    for file in (ROOT / "mkdocs.yml", DOCS / "site.css"):
        assert "://" not in file.read_text(encoding="utf-8")


def test_the_reference_has_every_name_of_the_shop_window_once() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: fulcra\.(\w+)$", page, re.MULTILINE)) == sorted(fulcra.__all__)


def test_the_page_of_commands_is_what_make_commands_writes() -> None:
    command = [sys.executable, *COMMANDS, "--title", "Command line"]
    help_texts = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    title, rest = help_texts.split("\n", 1)
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert page == f"{title}\n\n{HEAD}\n{rest}"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_no_page_names_a_folder_of_a_machine(page: Path) -> None:
    assert not MACHINE.findall(page.read_text(encoding="utf-8"))


def test_pages_written_by_hand_are_short() -> None:
    own = [page for page in pages() if DOCS in page.parents]
    lines = {page.name: len(page.read_text(encoding="utf-8").splitlines()) for page in own}
    assert not {name: n for name, n in lines.items() if n > HAND_WRITTEN_LINES}


def test_every_figure_of_what_is_believed_stands_on_a_page_that_its_line_links_to() -> None:
    page = (DOCS / "validation.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\d+\. (.+) \((\[.+)\)\.$", page, re.MULTILINE)
    assert len(lines) == 12
    lines += re.findall(r"^\|[^|]+\|[^|]+\| ([^|]+)\|(.+\]\(.+)\|$", page, re.MULTILINE)
    assert len(lines) > 30
    linked = [(text, re.findall(r"\]\(([^)#]+)", links)) for text, links in lines]
    missing = {text: sorted(_figures(text) - _stated(links)) for text, links in linked}
    assert not {text: figures for text, figures in missing.items() if figures}


def _figures(text: str) -> set[str]:
    """The figures of a text, each as the shortest word for it: .3 for 0.30, 6144 for 6,144."""
    return {f"{float(figure.replace(',', '')):.12g}" for figure in FIGURE.findall(text)}


def _stated(links: list[str]) -> set[str]:
    """The figures of the pages, each rounded to fewer decimals too, and a rate as a percentage."""
    text = "\n".join((DOCS / link).read_text(encoding="utf-8") for link in links)
    values = [float(figure) for figure in _figures(text)]
    rounded = {f"{value:.{digits}f}" for value in values for digits in (2, 3)}
    rates = {f"{100 * value:.0f}" for value in values if value < 1}
    return _figures(text) | _figures("\n".join(rounded | rates))
