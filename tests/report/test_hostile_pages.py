"""No word of a result acts in a page: not in its tags, not in its figures, not as a script."""

import re
import subprocess
from base64 import b64encode
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.report.browser import BROWSER, browsed
from tests.report.hostile import SHORT, TRACE, WORDS, hostile_pages

pytestmark = pytest.mark.slow

PAGES = hostile_pages(".html")
FIGURES = {"report.html": 10, "window.html": 2, "card.html": 0, "exemplars.html": 0}
INJECTED = f"<script>document.documentElement.setAttribute('{TRACE}', 1)</script>"
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
#: Keeps the hover label of a point of every curve of every figure at the end of the page.
HOVER = """<script>
(async () => {
  for (const place of document.querySelectorAll(".figure")) {
    for (const curveNumber of place.data.keys()) {
      Plotly.Fx.hover(place, [{ curveNumber, pointNumber: 0 }]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      document.body.append(place.querySelector(".hoverlayer").cloneNode(true));
    }
  }
})();
</script>"""


class Page(HTMLParser):
    """The tags of a page with their attributes, its policy, the texts of its scripts, its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.policy: dict[str, str] = {}
        self.scripts: list[str] = []
        self.words = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            rules = (attributes["content"] or "").split(";")
            self.policy = {
                name: rest for name, _, rest in (r.strip().partition(" ") for r in rules)
            }
        self.inside = f"{tag} {attributes.get('type', '')}".strip()
        self.scripts += [""] if self.inside == "script" else []

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside.startswith(("script", "style")):
            self.words += data


class Run(NamedTuple):
    """A page after its scripts ran: its document, and what stood on the console."""

    document: str
    console: list[str]

    @property
    def traced(self) -> bool:
        return f"{TRACE}=" in self.document.partition(">")[2].partition(">")[0]


def run(page: str, folder: Path) -> Run:
    """The page as headless Chromium leaves it."""
    assert BROWSER is not None
    file = folder / "page.html"
    file.write_text(page)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom"]
    ended = subprocess.run(
        [BROWSER, *flags, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    lines = [line for line in ended.stderr.splitlines() if ":CONSOLE:" in line]
    return Run(ended.stdout, [line for line in lines if "MathJax is not loaded" not in line])


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_names_the_hash_of_every_script_and_allows_nothing_else(name: str) -> None:
    page = Page(PAGES[name])
    digests = [b64encode(sha256(text.encode()).digest()).decode() for text in page.scripts]
    allowed = {"script-src": " ".join(f"'sha256-{digest}'" for digest in digests)}
    assert len(digests) == (2 if FIGURES[name] else 0)
    assert page.policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        **(allowed if digests else {}),
    }


@pytest.mark.parametrize("name", PAGES)
def test_words_are_printed_as_they_stand_and_open_no_tag(name: str) -> None:
    page = Page(PAGES[name])
    assert WORDS in page.words
    names = {tag for tag, _ in page.tags}
    assert not names & {"img", "svg", "iframe", "base", "form", "object", "embed", "link"}
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    links = [attributes["href"] or "" for _, attributes in page.tags if "href" in attributes]
    assert all(link.startswith("#") for link in links)
    assert len([tag for tag, _ in page.tags if tag == "style"]) == 1


def test_every_page_is_here() -> None:
    assert PAGES.keys() == FIGURES.keys()


@browsed
@pytest.mark.parametrize("name", PAGES)
def test_the_browser_draws_every_figure_and_runs_nothing_else(name: str, tmp_path: Path) -> None:
    after = run(PAGES[name], tmp_path)
    assert after.console == []
    assert not after.traced
    assert after.document.count('class="plot-container plotly"') == FIGURES[name]


@browsed
@pytest.mark.parametrize("name", ["report.html", "window.html"])
def test_labels_of_figures_are_words_even_without_a_policy(name: str, tmp_path: Path) -> None:
    page = hostile_pages(".html", SHORT)[name]
    after = run(POLICY.sub("", page).replace("</body>", HOVER + "</body>"), tmp_path)
    tags = Page(after.document).tags
    labels = [attributes.get("data-unformatted") for tag, attributes in tags if tag == "text"]
    assert any(label and escape(SHORT, quote=False) in label for label in labels)
    assert not any("xlink:href" in attributes for _, attributes in tags)
    assert "javascript:" not in "".join(attributes.get("href") or "" for _, attributes in tags)


@browsed
def test_a_script_that_did_get_into_a_page_is_stopped_by_its_policy(tmp_path: Path) -> None:
    page = PAGES["window.html"].replace("<main>", f"<main>{INJECTED}")
    stopped = run(page, tmp_path)
    assert not stopped.traced
    assert "violates the following Content Security Policy" in "".join(stopped.console)
    assert run(POLICY.sub("", page), tmp_path).traced
