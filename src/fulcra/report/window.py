"""One neuron's window as a page and in the terminal; computes nothing."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report import figures, notation
from fulcra.report.reading import withheld
from fulcra.report.scripts import scripts
from fulcra.report.sheet import Sheet, pairs
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import Branch, Measured, Predicted
    from fulcra.protocol.results.window import CurvePoint, WindowResult

EDGE_COLUMNS = ("edge", "method", "tier", "gain", "alignment")
_COLUMNS, _ROWS = 56, 9


def entry_of(window: "WindowResult") -> "Branch | None":
    """What may be shown of what was measured; None with predictions alone."""
    return None if window.audit is None else withheld(window.audit).neurons[0]


def measured_edges(window: "WindowResult") -> tuple["Measured | None", "Measured | None"]:
    """The measured ceiling and trigger; None where it was not measured."""
    entry = entry_of(window)
    if entry is None or window.audit is None:
        return None, None
    return entry.ceiling_measured, entry.trigger(window.audit.behavior.horizon)


def marks(window: "WindowResult") -> list[figures.Mark]:
    """Every edge that lies on the ladder, predicted ones first."""
    ceiling, trigger = measured_edges(window)
    drawn = [
        *(_mark(edge.method, edge, True, False) for edge in window.ceilings),
        *(_mark(edge.method, edge, False, False) for edge in window.triggers),
        _mark("measured ceiling", ceiling, True, True),
        _mark("measured trigger", trigger, False, True),
    ]
    return [mark for mark in drawn if mark is not None]


def _mark(
    label: str, edge: "Predicted | Measured | None", ceiling: bool, measured: bool
) -> figures.Mark | None:
    """An edge as a mark on the curve; None where it lies beyond the ladder or was not measured."""
    if edge is None or edge.gain is None or edge.alignment is None:
        return None
    return figures.Mark(label, edge.gain, edge.alignment, ceiling, measured)


def verdict_line(window: "WindowResult") -> str:
    """The verdict in one line, measured where it was, with the failure mode of a closed window."""
    entry = entry_of(window)
    if entry is None or window.audit is None:
        margin = notation.margin(window.predicted_margin)
        return (
            f"{window.neuron} is forecast {window.predicted_verdict} to {window.behavior}:"
            f" margin {margin} octaves, nothing measured."
        )
    if not window.audit.summary.protocol_reproduced:
        return f"{window.neuron}: no verdict is drawn, the positive control does not act."
    why = f" ({entry.failure_mode.replace('_', ' ')})" if entry.failure_mode else ""
    from_gain = (
        f" from gain {notation.gain(entry.smallest_open_gain)}" if entry.observed_open else ""
    )
    return (
        f"{window.neuron} is {entry.verdict} to {window.behavior}{from_gain}{why}; forecast"
        f" {window.predicted_verdict}."
    )


def facts(window: "WindowResult") -> list[tuple[str, str]]:
    """The numbers of the branch, with what they are called."""
    cap, middle = window.cap_alignment, window.curve[len(window.curve) // 2]
    spread = f"{middle.alignment_low:.2f} to {middle.alignment_high:.2f}"
    return [
        ("budget |r| / |v|", f"{notation.number(window.budget)} activation units"),
        ("clean alignment", f"{window.alignment0:.3f}"),
        (
            "alignment at gain " + f"{middle.gain:g}",
            f"{middle.alignment:.2f}, 5 to 95 % of positions {spread}",
        ),
        ("cap of the norm", "none" if cap is None else f"{cap:.2f}"),
    ]


def edge_rows(window: "WindowResult") -> list[tuple[str, str, str, str, str]]:
    """(edge, method, tier, gain, alignment) of every edge, measured ones last."""
    predicted = [("ceiling", edge) for edge in window.ceilings]
    predicted += [("trigger", edge) for edge in window.triggers]
    cells = [
        (kind, edge.method, str(edge.tier), notation.edge(edge), notation.number(edge.alignment))
        for kind, edge in predicted
    ]
    if window.audit is not None:
        for kind, edge in zip(("ceiling", "trigger"), measured_edges(window), strict=True):
            alignment = None if edge is None else edge.alignment
            row = (kind, "measured", "4", notation.edge(edge), notation.number(alignment))
            cells.append(row)
    return cells


def window_table(window: "WindowResult") -> Group:
    """Verdict, facts, every edge and the saturation curve drawn in characters; 80 columns."""
    head = Text.assemble(
        (f"{window.model.name} · {window.behavior}\n", "dim"), (verdict_line(window), "bold")
    )
    edges = Sheet(EDGE_COLUMNS, edge_rows(window), numbers=EDGE_COLUMNS[2:]).rich()
    return Group(head, "", pairs(facts(window)), "", edges, "", Text(sketch(window)))


def sketch(window: "WindowResult") -> str:
    """Alignment against gain in characters: the curve, c and t where predicted edges lie, C and T
    where measured ones do.
    """
    curve = window.curve
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for place in range(_COLUMNS):
        share = place / (_COLUMNS - 1) * (len(curve) - 1)
        low = curve[min(int(share), len(curve) - 1)].alignment
        high = curve[min(int(share) + 1, len(curve) - 1)].alignment
        grid[_height(low + (high - low) * (share % 1))][place] = "\N{MIDDLE DOT}"
    for mark in marks(window):
        letter = "c" if mark.ceiling else "t"
        grid[_height(mark.alignment)][_across(curve, mark.gain)] = (
            letter.upper() if mark.measured else letter
        )
    rows = [
        f"{1 - i / (_ROWS - 1):4.2f} \N{BOX DRAWINGS LIGHT VERTICAL}{''.join(row)}"
        for i, row in enumerate(grid)
    ]
    ends = f"gain {curve[0].gain:g}", f"{curve[-1].gain:g}"
    axis = (
        "     \N{BOX DRAWINGS LIGHT UP AND RIGHT}" + "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * _COLUMNS
    )
    below = f"      {ends[0]}{ends[1]:>{_COLUMNS - len(ends[0])}}"
    return "\n".join(
        [*rows, axis, below, "      c ceiling, t trigger; small predicted, capital measured"]
    )


def _height(alignment: float) -> int:
    return round((1 - min(max(alignment, 0.0), 1.0)) * (_ROWS - 1))


def _across(curve: Sequence["CurvePoint"], gain: float) -> int:
    """The column of a gain: rungs stand at equal distances."""
    gains = [point.gain for point in curve]
    below = max((i for i, rung in enumerate(gains) if rung <= gain), default=0)
    above = min(below + 1, len(gains) - 1)
    part = (gain - gains[below]) / (gains[above] - gains[below]) if above > below else 0.0
    return round(min(max((below + part) / max(len(gains) - 1, 1), 0.0), 1.0) * (_COLUMNS - 1))


def render_window(window: "WindowResult") -> str:
    """The HTML page of one neuron's window, self-contained."""
    drawn = {"saturation": figures.saturation(window.curve, marks(window))}
    entry = entry_of(window)
    if entry is not None and window.audit is not None:
        drawn["dose"] = figures.dose_response(window.audit, entry)
    return filled(
        "window.html",
        window=window,
        verdict=verdict_line(window),
        facts=facts(window),
        edges=Sheet(EDGE_COLUMNS, edge_rows(window)),
        keys={"saturation": figures.SATURATION_KEYS, "dose": figures.DOSE_KEYS},
        figures={
            "page": {key: json.loads(figure.to_json()) for key, figure in drawn.items()},
            "branches": [],
        },
        scripts=scripts(),
    )
