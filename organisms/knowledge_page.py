"""Gate and knowledge as one figure, an SVG that needs no script, and as lines of Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fulcra.report.figures.style import BLUE, GRAY, GREEN, ORANGE, PALE, SKY, VERMILLION
from fulcra.report.markdown import markdown_table
from fulcra.report.notation import interval, number, rate
from fulcra.report.template import filled

#: The one color of the palette that no outcome of an audit has.
PURPLE = "#CC79A7"
COLORS = {
    "actionable": GREEN,
    "coherent_bypass": SKY,
    "answered": BLUE,
    "on_concept": PURPLE,
    "off_topic": ORANGE,
    "refuse": GRAY,
    "collapse": VERMILLION,
    "unscored": PALE,
}
_TITLES = {"withheld": "withheld prompts", "innocent": "innocent prompts"}
_LEFT, _TOP, _COLUMN, _ROW, _BAR, _GAP = 168, 78, 118, 46, 17, 14
_ON = {"refuse": "refuses", "topic": "speaks of the topic", "actionable": "gives the true recipe"}


class Text(NamedTuple):
    """Words at a place."""

    x: float
    y: float
    words: str
    anchor: str = "start"
    bold: bool = False


class Bar(NamedTuple):
    """A filled rectangle with its tooltip."""

    x: float
    y: float
    width: float
    height: float
    color: str
    title: str


def knowledge_figure(found: Mapping[str, Any]) -> str:
    """The SVG: a row a gate setting, in it concept off above concept held, a column a prefill, a
    panel a set of prompts.
    """
    gates, prefills = [one["name"] for one in found["settings"]], found["prefills"]
    width, height = _LEFT + 2 * len(prefills) * _COLUMN + _GAP, _TOP + len(gates) * _ROW + 20
    bars, texts = list(_bars(found, gates, prefills)), list(_texts(gates, prefills))
    legend = list(_legend(found))
    texts += [text for text, _ in legend]
    bars += [bar for _, bar in legend]
    return filled(
        "gate_and_knowledge.svg",
        Path(__file__).parent,
        width=width,
        height=height,
        bars=bars,
        texts=texts,
        label="Outcomes by gate, concept and prefill",
    )


def _place(prompts: str, prefill: int, prefills: Sequence[int]) -> float:
    return (
        _LEFT
        + (0 if prompts == "withheld" else len(prefills) * _COLUMN + _GAP)
        + prefills.index(prefill) * _COLUMN
    )


def _bars(found: Mapping[str, Any], gates: Sequence[str], prefills: Sequence[int]) -> Iterator[Bar]:
    for cell in found["cells"]:
        x = _place(cell["prompts"], cell["prefill"], prefills)
        y = _TOP + gates.index(cell["gate"]) * _ROW + (_BAR + 2) * cell["concept"]
        for word, color in COLORS.items():
            if count := cell["counts"][word]:
                wide = round((_COLUMN - 8) * count / cell["n"], 2)
                yield Bar(
                    round(x, 2),
                    y,
                    wide,
                    _BAR,
                    color,
                    f"{word.replace('_', ' ')}: {count} of {cell['n']}",
                )
                x += wide


def _texts(gates: Sequence[str], prefills: Sequence[int]) -> Iterator[Text]:
    for prompts, title in _TITLES.items():
        yield Text(_place(prompts, prefills[0], prefills), 46, title, bold=True)
        for prefill in prefills:
            yield Text(
                _place(prompts, prefill, prefills),
                66,
                "no prefill" if not prefill else f"prefill {prefill}",
            )
    for row, gate in enumerate(gates):
        y = _TOP + row * _ROW
        yield Text(8, y + 13, "no gate edited" if gate == "none" else gate, bold=True)
        yield Text(8, y + 15 + _BAR, "+ concept held")


def _legend(found: Mapping[str, Any]) -> Iterator[tuple[Text, Bar]]:
    x = 8.0
    for word, color in COLORS.items():
        if any(cell["counts"][word] for cell in found["cells"]):
            words = word.replace("_", " ")
            yield Text(x + 16, 20, words), Bar(x, 10, 12, 12, color, words)
            x += 34 + 7 * len(words)


def knowledge_lines(found: Mapping[str, Any]) -> list[str]:
    """The contrasts as a Markdown table."""
    head = ["what is done", "the model", "prompts", "without", "with", "Fisher p"]
    rows = []
    for one in found["contrasts"]:
        rates = [f"{rate(one[key]['value'])} ({interval(one[key])})" for key in ("without", "with")]
        rows.append([one["what"], _ON[one["on"]], one["prompts"], *rates, number(one["p"])])
    return markdown_table(head, rows)
