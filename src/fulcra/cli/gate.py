"""`fulcra gate`."""

from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import Json, Quiet, command, emit
from fulcra.protocol.results.gate import Decision

#: The exit code of every decision.
EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "cannot conclude": 3}


@command("gate", "Audit", "gate runs/dense --policy release --junit gate.xml")
def gate_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    policy: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="A YAML file of limits, or a bundled policy: release, next-release.",
        ),
    ],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="The run before, for limits on a regression."),
    ] = None,
    effects: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Result of `fulcra effects`, for a limit over_refusal."),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write the limits as JUnit XML."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Decide by a run: 0 it passes, 1 fails, 3 cannot conclude.

    Every limit is held to the end of its interval, never to the point, and says why it passes, too.
    """
    from fulcra.release.finished import require_outside
    from fulcra.release.gate import gate
    from fulcra.release.policy import load_policy
    from fulcra.report.gate import gate_text
    from fulcra.report.gate import junit as junit_xml
    from fulcra.store import write_text

    if junit is not None:
        require_outside("--junit", junit, folder)
    result = gate(folder, load_policy(policy), baseline, effects)
    if junit is not None:
        write_text(junit, junit_xml(result))
    emit(result, as_json, quiet, lambda: gate_text(result))
    raise typer.Exit(EXIT_CODES[result.decision])
