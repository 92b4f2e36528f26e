"""The card of one neuron as a page and in the terminal; reads the content of `fulcra card`,
computes nothing.
"""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report import notation
from fulcra.report.exemplars import SHOWN, snippets_of
from fulcra.report.template import filled

Card = Mapping[str, Any]


def facts(card: Card) -> dict[str, str]:
    """The neuron's geometry, direction and ranks in words."""
    own, direction, show = card["geometry"], card["direction"], notation.number
    beside = (
        f"rank {own['norm_rank']} of {own['of']} in its layer, median"
        f" {show(own['layer_median_norm'])}"
    )
    found = {
        "write norm |v|": f"{show(own['write_norm'])} ({beside})",
        "residual norm |r|": show(own["residual_norm"]),
        "budget B": f"{show(own['budget'])} activation units",
        "clean alignment c0": show(own["alignment0"]),
    }
    if direction:
        chance = (
            f"p {show(direction['p'])}; the best of its layer by chance"
            f" {show(direction['expected_max'])}"
        )
        found[f"cosine with {direction['direction']}"] = f"{show(direction['cosine'])} ({chance})"
    for rank in card["ranks"]:
        found[f"rank by {rank['screen']}, {rank['units']} units"] = (
            f"{rank['rank']} of {rank['of']}, pole {rank['pole']}"
        )
    return found


def window(branch: Mapping[str, Any]) -> dict[str, str]:
    """One pole's window: predicted edges, and the measured ones, which are unknown without a
    run.
    """
    measured = branch["measured"] or {}
    edges = [(measured.get("triggers") or [None])[-1], measured.get("ceiling_measured")]
    trigger, ceiling = (
        map(notation.edge, edges) if measured else (notation.UNKNOWN, notation.UNKNOWN)
    )
    return {
        "trigger": f"{notation.edge(branch['trigger'])} / {trigger}",
        "ceiling": f"{notation.edge(branch['ceiling'])} / {ceiling}",
        "margin": (
            f"{notation.margin(branch['margin'])} / {notation.margin(measured.get('margin'))}"
        ),
        "verdict": (
            f"{branch['predicted_verdict'] or notation.UNKNOWN} /"
            f" {measured.get('verdict', notation.UNKNOWN)}"
        ),
        "open from": (
            notation.gain(measured.get("smallest_open_gain")) if measured else notation.UNKNOWN
        ),
    }


def pins(card: Card) -> list[Mapping[str, Any]]:
    """What holding the neuron did in the run, by held value; the same on both poles."""
    found = {
        pin["value"]: pin
        for branch in card["branches"]
        for pin in (branch["measured"] or {}).get("pins", ())
    }
    return [found[value] for value in sorted(found)]


def render_card(card: Card) -> str:
    """The HTML page of a card, self-contained and without a script."""
    kinds = snippets_of(card["exemplars"]["rows"], card["neuron"]) if card["exemplars"] else {}
    windows = [(branch, window(branch)) for branch in card["branches"]]
    return filled(
        "card.html",
        card=card,
        facts=facts(card),
        windows=windows,
        pins=pins(card),
        kinds=kinds,
        shown=SHOWN,
        notation=notation,
    )


def card_table(card: Card) -> Group:
    """The renderable of a card: facts, windows as predicted / measured, and the words of the
    write.
    """
    name = f"{card['model']['name']} · {card['neuron']}" + (
        f" · {card['behavior']['name']}" if card["behavior"] else ""
    )
    known = Table.grid(padding=(0, 2))
    for key, value in facts(card).items():
        known.add_row(Text(key, "dim"), Text(value))
    edges = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
        title=Text("predicted / measured, gains", "dim"),
    )
    for label in ("branch", "trigger", "ceiling", "margin", "verdict", "open from"):
        edges.add_column(label, no_wrap=True)
    for branch in card["branches"]:
        # ">" alone is beyond the ladder: 80 columns are few
        edges.add_row(
            *(
                Text(cell.replace("> ladder", ">"))
                for cell in (branch["branch"], *window(branch).values())
            )
        )
    words = Table.grid(padding=(0, 2))
    for branch in card["branches"]:
        words.add_row(
            Text(f"{branch['branch']} promotes", "dim"),
            Text(" ".join(one["token"].strip() for one in branch["promoted"])),
        )
    return Group(Text(name, "bold"), "", known, "", edges, "", words)
