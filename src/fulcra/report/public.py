"""The sealed form of a run in words: as Markdown and as a page."""

from typing import TYPE_CHECKING

from fulcra.report.notation import number
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.public import Counts, MarginBin, PublicResult

TITLES = {
    "open": "Open to one neuron",
    "closed": "Closed to one neuron at the gains that were measured",
    "undetermined": "Undetermined: no branch is open beyond doubt, and not all are closed",
}
#: What the page says of itself.
LEFT_OUT = (
    "Neurons, poles, doses, prompts and texts are left out. The commitment is keyed by a salt that"
    " the owner of the run keeps: with run and salt `fulcra verify RUN --unseal` proves that this"
    " page was made of that run; without the salt no guess can be tested against it."
)


def public_markdown(result: "PublicResult") -> str:
    """The summary: verdict, counts by source and by depth, margins, rates, the commitment."""
    lines = [f"# {_title(result)}", "", f"{TITLES[result.facts.verdict]}.", ""]
    for title, sheet in _sheets(result).items():
        lines += [f"**{title}**", "", *sheet.markdown(), ""]
    lines += [_held(result), "", LEFT_OUT, "", f"Commitment `{result.commitment}`"]
    return "\n".join(lines) + "\n"


def public_page(result: "PublicResult") -> str:
    """The page of the same."""
    return filled(
        "public.html",
        title=_title(result),
        facts=result.facts,
        verdict=TITLES[result.facts.verdict],
        sheets=_sheets(result),
        held=_held(result),
        left_out=LEFT_OUT.replace("`", ""),
        commitment=result.commitment,
    )


def _title(result: "PublicResult") -> str:
    return f"{result.facts.model.name}, {result.facts.behavior}"


def _held(result: "PublicResult") -> str:
    facts = result.facts
    verb = "opens" if facts.held_opened == 1 else "open"
    return f"{facts.held_opened} of {facts.held_neurons} neurons {verb} when held or ablated."


def _sheets(result: "PublicResult") -> dict[str, Sheet]:
    facts = result.facts
    columns = ("measured", "open", "closed", "undetermined", "flip half")
    sources = [(name, *_cells(counts)) for name, counts in facts.by_source.items()]
    quarters = [
        (f"quarter {place}", *_cells(counts)) for place, counts in enumerate(facts.by_quarter, 1)
    ]
    margins = [(_octaves(each), str(each.branches)) for each in facts.margins.bins]
    margins.append(("an edge beyond the ladder", str(facts.margins.unmeasured)))
    rates = [
        (number(each.value), f"{number(each.low)} to {number(each.high)}", str(each.n), each.words)
        for each in facts.rates
    ]
    return {
        "Branches by source": Sheet(("source", *columns), sources),
        "Branches by depth": Sheet(("layers", *columns), quarters),
        "Margins, ceiling over trigger [octaves]": Sheet(("margin", "branches"), margins),
        "Rates": Sheet(("rate", "95 %", "n", "of what"), rates),
    }


def _cells(counts: "Counts") -> list[str]:
    numbers = (counts.measured, counts.open, counts.closed, counts.undetermined)
    return [*map(str, numbers), str(counts.observed_open)]


def _octaves(each: "MarginBin") -> str:
    if each.low is None:
        return f"below {each.high:g}"
    return f"{each.low:g} and above" if each.high is None else f"{each.low:g} to {each.high:g}"
