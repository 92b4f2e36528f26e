"""The page in a real browser: a dose changes the text, a ceiling warns, a text is stopped.

Pictures of it are made on the way; with FULCRA_PICTURES set they stay in that folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from fulcra.studies.recipe import Recipe
from tests.playground.conftest import EVIDENCE, OPEN
from tests.report.axe import axe_script
from tests.report.browser import Tab, browsed, tab

pytestmark = [
    browsed,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("gradio") is None, reason="needs gradio: pip install 'fulcra[ui]'"
    ),
]
#: Seconds that a step of the page may take on a busy machine.
PATIENCE = 120.0
#: Seconds after which a value that the page does not show is put in again.
SOON = 5.0
DOSED = "[...document.querySelectorAll('.text')].slice(1).map((t) => t.querySelector('.words'))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a page over the bundled organism, with an audit of it loaded."""
    command = ["playground", "--run", str(EVIDENCE), "--port", "0", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "fulcra.cli", *command],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()


@pytest.fixture(scope="module")
def window(folder: Path) -> Iterator[Tab]:
    with tab(folder) as opened:
        yield opened


@pytest.fixture
def shown(window: Tab, url: str) -> Tab:
    """The page on a desk in daylight, its first branch's window drawn."""
    return begun(window, url)


def begun(window: Tab, url: str, width: int = 1280, scheme: str = "light") -> Tab:
    window.console.clear()
    window.requests.clear()
    window.width(width)
    window.media("", scheme)
    window.open(url)
    until(window, "/dose lies|Below/.test(document.querySelector('#line')?.textContent)")
    return window


def until(window: Tab, script: str) -> None:
    """Wait until a script's expression holds."""
    end = time.monotonic() + PATIENCE
    while not window.run(f"!!({script})"):
        assert time.monotonic() < end, script
        time.sleep(0.1)


def put(window: Tab, place: str, value: object) -> None:
    """Put a value into a control as a user does."""
    window.run(f"""(() => {{ const control = document.querySelector({place!r});
      const kind = control.tagName === "TEXTAREA" ? HTMLTextAreaElement : HTMLInputElement;
      Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(control, {str(value)!r});
      for (const name of ["input", "change"])
        control.dispatchEvent(new Event(name, {{ bubbles: true }}));
    }})()""")


def type_in(window: Tab, place: str, words: str) -> None:
    """Type words into a field in place of what it holds, and press Enter."""
    window.run(f"document.querySelector({place!r}).focus()")
    window.run(f"document.querySelector({place!r}).select()")
    window.send("Input.insertText", text=words)
    window.settle()
    window.press("Enter")


def put_until(window: Tab, place: str, value: object, script: str) -> None:
    """Put a value into a control until the page shows it.

    Within milliseconds of an event's end the page library puts back what was there before.
    """
    end = time.monotonic() + PATIENCE
    while not window.run(f"!!({script})"):
        assert time.monotonic() < end, script
        put(window, place, value)
        soon = time.monotonic() + SOON
        while time.monotonic() < soon and not window.run(f"!!({script})"):
            time.sleep(0.1)


def put_dose(window: Tab, dose: float) -> None:
    shown = f"document.querySelector('.axis .dose span').textContent === '{dose:.2f}'"
    put_until(window, "#dose input[type=range]", dose, shown)


def put_further(window: Tab, doses: str, count: int) -> None:
    shown = f"document.querySelectorAll('.axis .dose').length === {count}"
    put_until(window, "#further input, #further textarea", doses, shown)


def go(window: Tab) -> None:
    window.run("document.querySelector('#go').click()")
    until(window, "/Writing|Reading|Waiting/.test(document.querySelector('#state').textContent)")


def write(window: Tab) -> list[str]:
    """The finished texts at the doses that are set, the clean one first."""
    go(window)
    until(window, "/Finished/.test(document.querySelector('#state').textContent)")
    texts: list[str] = window.run(
        "[...document.querySelectorAll('.text .words')].map((words) => words.textContent)"
    )
    return texts


def open_card(window: Tab) -> None:
    window.run("document.querySelector('#card button').click()")
    window.run("document.querySelector('#make-card').click()")
    until(window, "document.querySelector('.card-body h2')")


def picture(window: Tab, name: str, folder: Path, whole: bool = True) -> None:
    place = Path(os.environ.get("FULCRA_PICTURES", folder))
    assert window.picture(place / f"{name}.png", whole).stat().st_size > 20_000


def serious(window: Tab) -> list[str]:
    """What axe-core finds that is serious or critical, in a line each."""
    window.run(axe_script())
    faults: list[str] = window.run("""axe.run(document).then((result) => result.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) => n.html.slice(0, 120))}`))""")
    return faults


def test_a_dose_changes_the_text_and_its_label(shown: Tab, folder: Path) -> None:
    put_dose(shown, 0.02)
    clean, weak = write(shown)
    assert weak == clean
    put_dose(shown, 0.5)
    again, dosed = write(shown)
    assert again == clean
    assert dosed != clean
    labels = shown.run("[...document.querySelectorAll('.outcome')].map((l) => l.textContent)")
    assert labels[0] == "refuse"
    assert labels[1] in ("off topic", "coherent bypass", "actionable")
    title = shown.run("document.querySelector('.text .words span').title")
    assert title.endswith(" nats")
    picture(shown, "playground", folder)


def test_the_warning_comes_above_the_ceiling_and_goes_below_it(shown: Tab, folder: Path) -> None:
    warned = "document.querySelector('#line .warning')"
    put_dose(shown, 0.9)
    until(shown, warned)
    assert "above the predicted ceiling" in shown.run(f"{warned}.textContent")
    picture(shown, "playground-ceiling", folder)
    put_dose(shown, 0.5)
    until(shown, f"!{warned}")


def test_several_doses_stand_side_by_side(shown: Tab, folder: Path) -> None:
    put_further(shown, "0.2, 0.85", 3)
    assert len(write(shown)) == 4
    assert "0.85" in shown.run("document.querySelector('#line .warning').textContent")
    picture(shown, "playground-doses", folder)


def endless(window: Tab) -> None:
    """Begin texts that take their time: warm ones far beyond the ceiling, many at once."""
    put_dose(window, 0.92)
    put_further(window, "0.9, 0.91, 0.93, 0.94, 0.95", 6)
    window.run(
        "[...document.querySelectorAll('button')].find((b) => /Length/.test(b.textContent)).click()"
    )
    window.settle()
    numbers = "[...document.querySelectorAll('input[type=number]')]"
    labels = f"{numbers}.map((input) => input.getAttribute('aria-label') || '')"
    places = window.run(labels)
    for name, value in (("Tokens", 200), ("Temperature", 2)):
        place = next(i for i, label in enumerate(places) if name in label)
        window.run(f"{numbers}[{place}].id = 'set-{name}'")
        put(window, f"#set-{name}", value)
    window.settle()


def test_a_stop_ends_the_texts_as_they_stand(shown: Tab) -> None:
    endless(shown)
    go(shown)
    until(shown, f"{DOSED}.length === 6 && {DOSED}[0].textContent.length > 3")
    shown.run("document.querySelector('#halt').click()")
    until(shown, "/Stopped/.test(document.querySelector('#state').textContent)")
    numbers = "[...document.querySelectorAll('.text .numbers')].map((n) => parseInt(n.textContent))"
    lengths = shown.run(numbers)
    assert 0 < max(lengths) < 200
    assert shown.run("document.querySelectorAll('.text .s3').length") > 0


def test_a_page_that_is_left_frees_the_model(shown: Tab, url: str) -> None:
    endless(shown)
    go(shown)
    shown.open("about:blank")
    began = time.monotonic()
    begun(shown, url)
    assert len(write(shown)) == 2
    assert time.monotonic() - began < PATIENCE


def test_the_page_answers_while_texts_are_written(shown: Tab) -> None:
    endless(shown)
    go(shown)
    put_dose(shown, 0.3)
    assert "Finished" not in shown.run("document.querySelector('#state').textContent")
    shown.run("document.querySelector('#halt').click()")
    until(shown, "/Stopped|Finished/.test(document.querySelector('#state').textContent)")


def test_a_neuron_that_is_typed_gets_its_window_and_a_wrong_one_a_line(shown: Tab) -> None:
    field = "#neuron input"
    type_in(shown, field, "2:307-")
    until(shown, f"document.querySelector('{field}').value.startsWith('{OPEN}')")
    until(shown, "document.querySelector('#axis').textContent.includes('0.62')")
    type_in(shown, field, "L99.N1")
    until(shown, "document.querySelector('#line .fault')")


def test_the_recipe_that_is_saved_is_the_dose_that_is_shown(shown: Tab) -> None:
    put_dose(shown, 0.6)
    link = "document.querySelector('#recipe a')"
    until(shown, link)
    assert shown.run(f"{link}.download") == "recipe.json"
    content = shown.run(f"{link}.getAttribute('href')").partition(",")[2]
    made = Recipe.of(json.loads(unquote(content)))
    assert made.edits[0].gain == pytest.approx(0.75)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(scheme: str, window: Tab, url: str, folder: Path) -> None:
    begun(window, url, scheme=scheme)
    write(window)
    open_card(window)
    window.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    put_dose(window, 0.9)
    until(window, "document.querySelector('#line .warning')")
    assert serious(window) == []
    picture(window, f"playground-{scheme}-card", folder)


@pytest.mark.parametrize("width", [1280, 820, 390])
def test_nothing_is_asked_of_another_host_and_nothing_faults(
    width: int, window: Tab, url: str, folder: Path
) -> None:
    begun(window, url, width)
    write(window)
    assert window.console == []
    hosts = {urlsplit(address).netloc for address in window.requests}
    assert hosts - {""} == {urlsplit(url).netloc}
    assert window.run("document.documentElement.scrollWidth") <= width
    picture(window, f"playground-{width}", folder)


def test_the_mark_of_a_dose_stands_under_the_thumb(shown: Tab) -> None:
    put_dose(shown, 0.0)
    ends = shown.run("""(() => {
      const at = (name) => document.querySelector(name).getBoundingClientRect();
      const slider = at("#dose input[type=range]"), track = at("#axis .track");
      return [track.left - slider.left, slider.right - track.right]; })()""")
    assert ends == [pytest.approx(8, abs=2)] * 2
