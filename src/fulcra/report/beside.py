"""What was measured beside an audit, as tables of its page: prompts, effects, judges, screens."""

from typing import TYPE_CHECKING, NamedTuple

from fulcra.errors import InputError
from fulcra.report.effects import effects_sheets
from fulcra.report.extension import extension_notes, extension_sheet
from fulcra.report.judges import judge_sheets
from fulcra.report.screens_table import screens_sheet
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult
    from fulcra.protocol.results.effects import EffectsResult
    from fulcra.protocol.results.extension import ExtensionResult
    from fulcra.protocol.results.judging import JudgingResult
    from fulcra.protocol.results.screens import ScreensResult


class Beside(NamedTuple):
    """Results of other commands on the audited model; None where one was not measured."""

    effects: "EffectsResult | None" = None
    judging: "JudgingResult | None" = None
    screens: "ScreensResult | None" = None
    extension: "ExtensionResult | None" = None


#: A run's own page: what other commands measure is written later.
NOTHING = Beside()


class Aside(NamedTuple):
    """One section of the page: its heading, what it is, its tables."""

    title: str
    note: str
    sheets: list[Sheet]


def require_same(audit: "AuditResult", beside: Beside) -> None:
    """InputError where a result is of another model or behavior than the audit."""
    for result in (beside.extension, beside.effects, beside.screens):
        if result is not None and result.model.sha256 != audit.model.sha256:
            raise InputError(
                f"{result.file}: it is of {result.model.name}, the audit of {audit.model.name} with"
                " other weights; give what was measured on the audited model"
            )
    screens = beside.screens
    if screens is not None and screens.behavior.name != audit.behavior.name:
        raise InputError(
            f"{screens.file}: screens of {screens.behavior.name}, the audit is of"
            f" {audit.behavior.name}; give those of the audited behavior"
        )
    if beside.judging is not None and beside.judging.behavior != audit.behavior.name:
        raise InputError(
            f"{beside.judging.file}: it judges {beside.judging.behavior}, the audit is of"
            f" {audit.behavior.name}; give the judgements of this run"
        )


def asides(beside: Beside) -> list[Aside]:
    """The sections of what was measured, in the order they are read."""
    sections = []
    if beside.extension is not None:
        parts = (beside.extension.lines()[0], *extension_notes(beside.extension))
        note = f"{'. '.join(parts)}. The verdicts above are those of the run."
        sections.append(Aside("More prompts", note, [extension_sheet(beside.extension)]))
    if beside.effects is not None:
        edits = ", ".join(beside.effects.recipe.edits)
        note = (
            f"With and without the recipe {edits}, paired by item; differences with 95% interval."
        )
        sections.append(Aside("Side effects", note, effects_sheets(beside.effects)))
    if beside.judging is not None:
        note = (
            f"{beside.judging.completions} completions of {beside.judging.rollouts} rollouts,"
            " judged again; the verdicts above rest on the first judge alone."
        )
        sections.append(Aside("What other judges say", note, judge_sheets(beside.judging)))
    if beside.screens is not None:
        note = (
            f"How well each screen finds the neurons that open on {beside.screens.model.name}, and"
            " how far its lists agree when it learns from other prompts (stability)."
        )
        sections.append(Aside("Screens", note, [screens_sheet(beside.screens)]))
    return sections


def missing(beside: Beside) -> list[tuple[str, str]]:
    """What was not measured, in words, and the command that measures it."""
    questions = {
        "effects": ("what the edit does to other abilities", "fulcra effects"),
        "judging": ("what other judges say of the same texts", "fulcra judge"),
        "screens": ("how far screens agree on who to measure", "fulcra research screens"),
    }
    return [words for name, words in questions.items() if getattr(beside, name) is None]
