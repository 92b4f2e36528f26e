"""How to make a run again and what `fulcra verify` looks at, from the settings of an audit."""

from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult

#: What verify rests on, in plain words (protocol/recheck/coverage.py has it file by file).
VERIFIED = Sheet(
    ("level", "what"),
    (
        (
            "made again",
            "rates, intervals, edges, verdicts and counts, from commitment and rollouts; this page,"
            " from audit.json, where the same code and release of plotly are installed",
        ),
        (
            "by digest",
            "the commitment and its predictions, each table of rollouts, model and provenance as"
            " recorded, timing: an edit breaks the seal",
        ),
        (
            "only with --rerun",
            "that this model says what the rollouts say, and what the judges made of it",
        ),
        (
            "not at all",
            "that no other run was thrown away, that the prompts are the right ones, that the"
            " behavior matters",
        ),
    ),
)


class Command(NamedTuple):
    """One line for a shell, and what it does."""

    line: str
    does: str


def commands(audit: "AuditResult") -> list[Command]:
    """The audit again, and the two looks at its folder."""
    settings = audit.settings
    options = [
        f"--behavior {quote(audit.behavior.name)}",
        f"--neurons {settings.neurons} --random {settings.random} --controls {settings.controls}",
        f"--screen {settings.screen} --measure {settings.measure} --seed {settings.seed}",
        f"--dtype {audit.model.dtype}",
    ]
    if settings.confirmation is not None:
        options.append(f"--confirmation {settings.confirmation}")
    again = f"fulcra audit {quote(audit.model.name)} {' '.join(options)} --out again"
    return [
        Command(again, f"makes it again{_beyond(audit)}"),
        Command("fulcra verify again", "recomputes every figure from the rollouts"),
        Command("fulcra verify again --rerun 1%", "rolls a sample out again with the model"),
    ]


def _beyond(audit: "AuditResult") -> str:
    """What else the run was set to, which a budget of minutes chooses."""
    settings = audit.settings
    rest = {
        "prompts a split": settings.prompts,
        "tokens a reply": settings.horizon,
        "swept neurons": settings.candidates,
    }
    chosen = [f"{count} {name}" for name, count in rest.items() if count is not None]
    return f"; beside these options the run had {', '.join(chosen)}" if chosen else ""
