"""Gate and knowledge as one figure, an SVG that needs no script, and as lines of Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from knowledge_result import Knowledge, PromptSet, Question, Rate, Shown

from fulcra.report.figures.style import BLUE, GRAY, GREEN, ORANGE, PALE, SKY, VERMILLION
from fulcra.report.notation import interval, number, rate
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

#: The one color of the palette that no outcome of an audit has.
PURPLE = "#CC79A7"
COLORS: dict[Shown, str] = {
    "actionable": GREEN,
    "coherent_bypass": SKY,
    "answered": BLUE,
    "on_concept": PURPLE,
    "off_topic": ORANGE,
    "refuse": GRAY,
    "collapse": VERMILLION,
    "unscored": PALE,
}
_TITLES: dict[PromptSet, str] = {"withheld": "withheld prompts", "innocent": "innocent prompts"}
_LEFT, _TOP, _COLUMN, _ROW, _BAR, _GAP = 168, 78, 118, 46, 17, 14
_ON: dict[Question, str] = {
    "refuse": "refuses",
    "topic": "speaks of the topic",
    "actionable": "gives the true recipe",
}


class Text(NamedTuple):
    """Words of the figure, where they begin or end."""

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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the cells of the figure stand: a panel a set of prompts, a column a prefill."""

    gates: tuple[str, ...]
    prefills: tuple[int, ...]

    @property
    def width(self) -> int:
        """The figure's width in pixels, both panels."""
        return _LEFT + 2 * len(self.prefills) * _COLUMN + _GAP

    @property
    def height(self) -> int:
        """The figure's height in pixels, all rows."""
        return _TOP + len(self.gates) * _ROW + 20

    def x(self, prompts: PromptSet, prefill: int) -> int:
        """The left edge of a column."""
        panel = 0 if prompts == "withheld" else len(self.prefills) * _COLUMN + _GAP
        return _LEFT + panel + self.prefills.index(prefill) * _COLUMN

    def y(self, gate: str) -> int:
        """The upper edge of a row."""
        return _TOP + self.gates.index(gate) * _ROW


def knowledge_figure(knowledge: Knowledge) -> str:
    """The SVG of every cell's counts.

    A row is a gate setting, in it the concept off above the concept held; a column is a prefill, a
    panel a set of prompts.
    """
    gates = tuple(setting.name for setting in knowledge.settings)
    layout = _Layout(gates, knowledge.prefills)
    legend = list(_legend(knowledge))
    return filled(
        "gate_and_knowledge.svg",
        Path(__file__).parent,
        width=layout.width,
        height=layout.height,
        bars=[*_bars(knowledge, layout), *(bar for _, bar in legend)],
        texts=[*_texts(layout), *(text for text, _ in legend)],
        label="Outcomes by gate, concept and prefill",
    )


def _bars(knowledge: Knowledge, layout: _Layout) -> Iterator[Bar]:
    for cell in knowledge.cells:
        x: float = layout.x(cell.prompts, cell.prefill)
        y = layout.y(cell.gate) + (_BAR + 2) * cell.concept
        for word, color in COLORS.items():
            if count := cell.counts[word]:
                width = round((_COLUMN - 8) * count / cell.n, 2)
                title = f"{_words(word)}: {count} of {cell.n}"
                yield Bar(round(x, 2), y, width, _BAR, color, title)
                x += width


def _texts(layout: _Layout) -> Iterator[Text]:
    for prompts, title in _TITLES.items():
        yield Text(layout.x(prompts, layout.prefills[0]), 46, title, bold=True)
        for prefill in layout.prefills:
            column = f"prefill {prefill}" if prefill else "no prefill"
            yield Text(layout.x(prompts, prefill), 66, column)
    for gate in layout.gates:
        y = layout.y(gate)
        yield Text(8, y + 13, "no gate edited" if gate == "none" else gate, bold=True)
        yield Text(8, y + 15 + _BAR, "+ concept held")


def _legend(knowledge: Knowledge) -> Iterator[tuple[Text, Bar]]:
    x = 8.0
    for word, color in COLORS.items():
        if any(cell.counts[word] for cell in knowledge.cells):
            words = _words(word)
            yield Text(x + 16, 20, words), Bar(x, 10, 12, 12, color, words)
            x += 34 + 7 * len(words)


def _words(name: str) -> str:
    return name.replace("_", " ")


def knowledge_lines(knowledge: Knowledge) -> list[str]:
    """The contrasts as a Markdown table."""
    head = ("what is done", "the model", "prompts", "without", "with", "Fisher p")
    rows = [
        [
            contrast.what,
            _ON[contrast.on],
            contrast.prompts,
            _rate(contrast.without),
            _rate(contrast.with_),
            number(contrast.p),
        ]
        for contrast in knowledge.contrasts
    ]
    return Sheet(head, rows).markdown()


def _rate(share: Rate) -> str:
    return f"{rate(share.value)} ({interval(share)})"
