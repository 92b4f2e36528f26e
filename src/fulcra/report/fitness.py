"""A behavior's fitness for an audit, in the terminal and as a page of the documentation."""

from typing import TYPE_CHECKING

from fulcra.report.notation import rate
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.fitness import ControlEntry, FitnessResult, FitnessTable, Share

#: Characters of a quoted reply on one line.
QUOTED = 70
COLUMNS = (
    "behavior",
    "horizon",
    "shown (95 %)",
    "flipped undosed",
    "coherent",
    "asked to flip",
    "asked not to",
    "prefilled",
    "verdicts that change later",
    "told by words",
)


def fitness_lines(result: "FitnessResult") -> tuple[str, ...]:
    """The verdict, then what to change and what to know, a line each."""
    verdict = "fit" if result.fit else "not fit"
    head = f"{result.behavior.name} on {result.model.name}: {verdict} for an audit"
    changes = tuple(f"to change  {problem}" for problem in result.problems)
    return (head, *changes, *(f"note       {note}" for note in result.notes))


def fitness_sheet(result: "FitnessResult") -> Sheet:
    """Every figure with its interval, a row each."""
    rows = [
        ("shows the behavior, undosed", *_share(result.shown)),
        ("flipped, undosed", *_share(result.flipped)),
        ("coherent, undosed", *_share(result.coherent)),
        *((f"flipped by {c.name}", *_share(c.flipped)) for c in result.controls),
        (f"verdict changes after token {result.horizon}", *_share(result.changed)),
        ("contrast told apart by words alone", rate(result.by_words), "", ""),
    ]
    return Sheet(
        ("measured", "share", "of", "95 %"), rows, numbers=("share", "of", "95 %"), title=""
    )


def quoted(result: "FitnessResult") -> str:
    """One reply of every stage, on a line each."""
    return "\n".join(
        f"{quote.stage} ({quote.outcome}): {' '.join(quote.text.split())[:QUOTED]}"
        for quote in result.quotes
    )


def behaviors_markdown(table: "FitnessTable") -> str:
    """The page of all bundled behaviors for chat models, on the model they were tried on."""
    fit = [result for result in table.tried if result.fit]
    unfit = [result for result in table.tried if not result.fit]
    first = table.tried[0]
    return filled(
        "behaviours.md",
        model=first.model,
        tried=table.tried,
        fit=Sheet(COLUMNS, [_cells(result) for result in fit]).markdown(),
        n_fit=len(fit),
        unfit=Sheet(COLUMNS, [_cells(result) for result in unfit]).markdown(),
        reasons=[(result.behavior.name, result.problems) for result in unfit],
    )


def _cells(result: "FitnessResult") -> list[str]:
    shown, controls = result.shown, {control.name: control for control in result.controls}
    return [
        result.behavior.name,
        str(result.horizon),
        f"{shown.count} of {shown.n} ({shown.low:.2f}-{shown.high:.2f})",
        _of(result.flipped),
        _of(result.coherent),
        *(_control(controls[n]) for n in ("positive prompts", "negative prompts", "prefill")),
        _of(result.changed),
        rate(result.by_words),
    ]


def _control(control: "ControlEntry") -> str:
    return f"{_of(control.flipped)} flip, {control.coherent.count} coherent"


def _share(share: "Share") -> tuple[str, str, str]:
    return rate(share.rate), str(share.n), f"{share.low:.2f}-{share.high:.2f}"


def _of(share: "Share") -> str:
    return f"{share.count} of {share.n}"
