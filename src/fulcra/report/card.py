"""The card of one neuron as a page and in the terminal."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report import notation
from fulcra.report.exemplars import SHOWN, snippets_of, snippets_sheet
from fulcra.report.sheet import Sheet, pairs
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import Pin
    from fulcra.protocol.results.card import BranchCard, CardResult


def facts(card: "CardResult") -> dict[str, str]:
    """The neuron's geometry, direction and ranks in words."""
    geometry, direction, show = card.geometry, card.direction, notation.number
    size = (
        f"{show(geometry.write_norm)} (rank {geometry.norm_rank} of {geometry.of} in its layer,"
        f" median {show(geometry.layer_median_norm)})"
    )
    words = {
        "write norm |v|": size,
        "residual norm |r|": show(geometry.residual_norm),
        "budget B": f"{show(geometry.budget)} activation units",
        "clean alignment c0": show(geometry.alignment0),
    }
    if direction is not None:
        words[f"cosine with {direction.direction}"] = (
            f"{show(direction.cosine)} (p {show(direction.p)}; the best of its layer by chance"
            f" {show(direction.expected_max)})"
        )
    for rank in card.ranks:
        place = f"{rank.rank} of {rank.of}, pole {rank.pole}"
        words[f"rank by {rank.screen}, {rank.units} units"] = place
    return words


def window(branch: "BranchCard") -> dict[str, str]:
    """One pole's window, predicted / measured; what no run measured is unknown."""
    edge, run, unknown = notation.edge, branch.measured, notation.UNKNOWN
    trigger, ceiling, margin, verdict, start = (unknown,) * 5
    if run is not None:
        trigger = edge(run.triggers[-1] if run.triggers else None)
        ceiling, margin = edge(run.ceiling_measured), notation.margin(run.margin)
        verdict, start = str(run.verdict), notation.gain(run.smallest_open_gain)
    return {
        "trigger": f"{edge(branch.trigger)} / {trigger}",
        "ceiling": f"{edge(branch.ceiling)} / {ceiling}",
        "margin": f"{notation.margin(branch.margin)} / {margin}",
        "verdict": f"{branch.predicted_verdict or unknown} / {verdict}",
        "open from": start,
    }


def pins(card: "CardResult") -> "list[Pin]":
    """What holding the neuron did in the run, by held value; the same on both poles."""
    by_value = {
        pin.value: pin
        for branch in card.branches
        if branch.measured is not None
        for pin in branch.measured.pins
    }
    return [by_value[value] for value in sorted(by_value)]


def windows_sheet(card: "CardResult") -> Sheet:
    """One row a pole: its window, predicted / measured."""
    rows = [(branch.branch, *window(branch).values()) for branch in card.branches]
    return Sheet(("branch", "trigger", "ceiling", "margin", "verdict", "open from"), rows)


def pins_sheet(card: "CardResult") -> Sheet:
    """One row a held value: how often it flips, and its strict reach."""
    columns = ("held at", "flips", "strict reach")
    rows = []
    for pin in pins(card):
        value = "ablated" if pin.op == "ablate" else notation.number(pin.value)
        rows.append((value, notation.rate(pin.flip_rate), notation.rate(pin.reach)))
    return Sheet(columns, rows, numbers=columns)


def render_card(card: "CardResult") -> str:
    """The HTML page of a card, self-contained and without a script."""
    return _filled("card.html", card)


def card_body(card: "CardResult") -> str:
    """The same without a page around it."""
    return _filled("card_body.html", card)


def _filled(template: str, card: "CardResult") -> str:
    return filled(
        template,
        card=card,
        facts=facts(card),
        windows=windows_sheet(card),
        pins=pins_sheet(card),
        kinds=snippets_of(card.exemplars.rows, card.neuron) if card.exemplars else {},
        shown=SHOWN,
        sheet=snippets_sheet,
        notation=notation,
    )


def card_table(card: "CardResult") -> Group:
    """The renderable of a card: facts, windows as predicted / measured, the words of the write."""
    name = f"{card.model.name} · {card.neuron}"
    if card.behavior is not None:
        name += f" · {card.behavior.name}"
    words = [
        (f"{branch.branch} promotes", " ".join(entry.token.strip() for entry in branch.promoted))
        for branch in card.branches
    ]
    head, numbers = Text(name, "bold"), pairs(facts(card).items())
    return Group(head, "", numbers, "", _windows(card), "", pairs(words))


def _windows(card: "CardResult") -> Table:
    """The windows where columns are few: ">" alone is beyond the ladder."""
    sheet = windows_sheet(card)
    rows = [[str(cell).replace("> ladder", ">") for cell in row] for row in sheet.rows]
    title = "predicted / measured, gains"
    return Sheet(sheet.columns, rows, title, whole=sheet.columns).rich()
