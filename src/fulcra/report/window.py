"""One neuron's window as a page and in the terminal; computes nothing."""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report import figures, notation
from fulcra.report.reading import trigger, withheld
from fulcra.report.template import filled

Window = Mapping[str, Any]
_COLUMNS, _ROWS = 56, 9


def entry_of(found: Window) -> Mapping[str, Any] | None:
    """What was measured on the branch; None with predictions alone."""
    audit = found.get("audit")
    return None if audit is None else withheld(audit)["neurons"][0]


def marks(found: Window) -> list[figures.Mark]:
    """Every edge that lies on the ladder, predicted ones first."""
    edges = [(edge["method"], edge, True, False) for edge in found["ceilings"]]
    edges += [(edge["method"], edge, False, False) for edge in found["triggers"]]
    if (entry := entry_of(found)) is not None:
        edges += [("measured ceiling", entry["ceiling_measured"], True, True)]
        edges += [("measured trigger", trigger(found["audit"], entry) or {}, False, True)]
    return [
        figures.Mark(label, e["gain"], e["alignment"], *kind)
        for label, e, *kind in edges
        if e.get("gain") is not None
    ]


def verdict_line(found: Window) -> str:
    """The verdict in one line, measured where it was, with the failure mode of a closed window."""
    entry = entry_of(found)
    if entry is None:
        margin = notation.margin(found["predicted_margin"])
        return (
            f"{found['neuron']} is forecast {found['predicted_verdict']} to {found['behavior']}:"
            f" margin {margin} octaves, nothing measured."
        )
    if not found["audit"]["summary"]["protocol_reproduced"]:
        return f"{found['neuron']}: no verdict is drawn, the positive control does not act."
    why = f" ({entry['failure_mode'].replace('_', ' ')})" if entry.get("failure_mode") else ""
    from_gain = (
        f" from gain {notation.gain(entry['smallest_open_gain'])}" if entry["observed_open"] else ""
    )
    return (
        f"{found['neuron']} is {entry['verdict']} to {found['behavior']}{from_gain}{why}; forecast"
        f" {found['predicted_verdict']}."
    )


def facts(found: Window) -> list[tuple[str, str]]:
    """The numbers of the branch, with what they are called."""
    cap, middle = found["cap_alignment"], found["curve"][len(found["curve"]) // 2]
    spread = f"{middle['alignment_low']:.2f} to {middle['alignment_high']:.2f}"
    return [
        ("budget |r| / |v|", f"{notation.number(found['budget'])} activation units"),
        ("clean alignment", f"{found['alignment0']:.3f}"),
        (
            "alignment at gain " + f"{middle['gain']:g}",
            f"{middle['alignment']:.2f}, 5 to 95 % of positions {spread}",
        ),
        ("cap of the norm", "none" if cap is None else f"{cap:.2f}"),
    ]


def edge_rows(found: Window) -> list[tuple[str, str, str, str, str]]:
    """(edge, method, tier, gain, alignment) of every edge, measured ones last."""
    rows = [("ceiling", edge) for edge in found["ceilings"]] + [
        ("trigger", edge) for edge in found["triggers"]
    ]
    cells = [
        (kind, e["method"], str(e["tier"]), notation.edge(e), notation.number(e["alignment"]))
        for kind, e in rows
    ]
    if (entry := entry_of(found)) is not None:
        measured = (
            ("ceiling", entry["ceiling_measured"]),
            ("trigger", trigger(found["audit"], entry) or {}),
        )
        cells += [
            (kind, "measured", "4", notation.edge(e), notation.number(e.get("alignment")))
            for kind, e in measured
        ]
    return cells


def window_table(found: Window) -> Group:
    """Verdict, facts, every edge and the saturation curve drawn in characters; 80 columns."""
    head = Text.assemble(
        (f"{found['model']['name']} · {found['behavior']}\n", "dim"), (verdict_line(found), "bold")
    )
    known = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for fact in facts(found):
        known.add_row(*map(Text, fact))
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    for label in ("edge", "method", "tier", "gain", "alignment"):
        table.add_column(label, justify="left" if label in ("edge", "method") else "right")
    for row in edge_rows(found):
        table.add_row(*map(Text, row))
    return Group(head, "", known, "", table, "", Text(sketch(found)))


def sketch(found: Window) -> str:
    """Alignment against gain in characters: the curve, c and t where predicted edges lie, C and T
    where measured ones do.
    """
    curve = found["curve"]
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for place in range(_COLUMNS):
        share = place / (_COLUMNS - 1) * (len(curve) - 1)
        low = curve[min(int(share), len(curve) - 1)]["alignment"]
        high = curve[min(int(share) + 1, len(curve) - 1)]["alignment"]
        grid[_height(low + (high - low) * (share % 1))][place] = "\N{MIDDLE DOT}"
    for mark in marks(found):
        letter = "c" if mark.ceiling else "t"
        grid[_height(mark.alignment)][_across(curve, mark.gain)] = (
            letter.upper() if mark.measured else letter
        )
    rows = [
        f"{1 - i / (_ROWS - 1):4.2f} \N{BOX DRAWINGS LIGHT VERTICAL}{''.join(row)}"
        for i, row in enumerate(grid)
    ]
    ends = f"gain {curve[0]['gain']:g}", f"{curve[-1]['gain']:g}"
    axis = (
        "     \N{BOX DRAWINGS LIGHT UP AND RIGHT}" + "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * _COLUMNS
    )
    below = f"      {ends[0]}{ends[1]:>{_COLUMNS - len(ends[0])}}"
    return "\n".join(
        [*rows, axis, below, "      c ceiling, t trigger; small predicted, capital measured"]
    )


def _height(alignment: float) -> int:
    return round((1 - min(max(alignment, 0.0), 1.0)) * (_ROWS - 1))


def _across(curve: list[Mapping[str, float]], gain: float) -> int:
    """The column of a gain: rungs stand at equal distances."""
    gains = [point["gain"] for point in curve]
    below = max((i for i, rung in enumerate(gains) if rung <= gain), default=0)
    above = min(below + 1, len(gains) - 1)
    part = (gain - gains[below]) / (gains[above] - gains[below]) if above > below else 0.0
    return round(min(max((below + part) / max(len(gains) - 1, 1), 0.0), 1.0) * (_COLUMNS - 1))


def render_window(found: Window) -> str:
    """The HTML page of one neuron's window, self-contained."""
    drawn = {"saturation": figures.saturation(found["curve"], marks(found))}
    if (entry := entry_of(found)) is not None:
        drawn["dose"] = figures.dose_response(found["audit"], entry)
    return filled(
        "window.html",
        found=found,
        verdict=verdict_line(found),
        facts=facts(found),
        edges=edge_rows(found),
        keys={"saturation": figures.SATURATION_KEYS, "dose": figures.DOSE_KEYS},
        figures={
            "page": {key: json.loads(figure.to_json()) for key, figure in drawn.items()},
            "branches": {},
        },
        plotly=Markup(get_plotlyjs()),  # a release of plotly, no text of the run
    )
