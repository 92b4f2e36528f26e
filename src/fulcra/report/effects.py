"""What a recipe does besides, in the terminal: every set by every judge, then text and tasks."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fulcra.report.judges import opinion_parts
from fulcra.report.notation import fixed
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.effects import EffectsResult, SetEffects
    from fulcra.protocol.results.judging import Disagreement, Paired


def effects_table(result: "EffectsResult") -> RenderableType:
    """The renderable that ends `fulcra effects`; no word of a completion is in it."""
    parts: list[RenderableType] = []
    for measured in result.sets:
        head = f"{measured.name}, {measured.horizon} tokens"
        parts += [_figures(head, dict(_rows(measured))), *_flips(measured), *_opinions(measured)]
        parts.append("")
    parts += [_figures("other text and tasks", {**result.figures, **result.tasks}), ""]
    edits = ", ".join(result.recipe.edits)
    parts.append(Text(f"KL on generic text {result.kl_per_token:.3f} nats a token; {edits}"))
    return Group(*parts)


def _rows(measured: "SetEffects") -> "Iterator[tuple[str, Paired]]":
    """The figures of a set by name: the run's own, then each judge's."""
    yield from measured.figures.items()
    for judge in measured.judges[1:]:
        for name, figure in judge.figures.items():
            yield f"{name} by {judge.name}", figure


def effects_sheets(result: "EffectsResult") -> list[Sheet]:
    """One table a set of prompts, and one of other text and tasks."""
    heads = [(f"{s.name}, {s.horizon} tokens", dict(_rows(s))) for s in result.sets]
    other = ("other text and tasks", {**result.figures, **result.tasks})
    return [_sheet(head, figures) for head, figures in (*heads, other)]


def _figures(head: str, figures: "Mapping[str, Paired]") -> Table:
    return _sheet(head, figures).rich()


def _sheet(head: str, figures: "Mapping[str, Paired]") -> Sheet:
    rows = []
    for name, figure in figures.items():
        unscored = f", {figure.unscored} unscored" if figure.unscored else ""
        sides = fixed(figure.clean, 3), fixed(figure.edited, 3)
        rows.append((name, *sides, _spread(figure), f"{figure.n}{unscored}"))
    return Sheet((head, "without", "with", "difference (95 %)", "items"), rows)


def _spread(figure: "Paired") -> str:
    if figure.difference is None:
        return "-"
    return f"{figure.difference:+.3f} ({figure.low:+.3f} to {figure.high:+.3f})"


def _flips(measured: "SetEffects") -> Iterator[Text]:
    """How often every judge sees a flip by each horizon; nothing where there is but one."""
    for judge in measured.judges if len(measured.outcomes) > 1 else ():
        for side, words in (("clean", "without"), ("edited", "with")):
            rates = (
                f"{fixed(outcomes.judges[judge.name][side].flips.value)} by {outcomes.horizon}"
                for outcomes in measured.outcomes
            )
            yield Text(f"flips {words}: {', '.join(rates)} tokens ({judge.name})")


def _opinions(measured: "SetEffects") -> list[RenderableType]:
    """How far the judges of a set agree and what they cost; nothing without judges."""
    if len(measured.judges) == 1:
        return []
    agreement, disagreements = measured.agreement, measured.disagreements
    return opinion_parts(agreement, disagreements, measured.judges, measured.labels, _place)


def _place(row: "Disagreement") -> str:
    return f"{'without' if row.branch == 'clean' else 'with'} by {row.horizon}"
