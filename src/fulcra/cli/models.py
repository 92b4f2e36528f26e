"""`fulcra families` and `fulcra check`."""

import json
from dataclasses import asdict
from math import isfinite
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fulcra.cli.app import Device, Dtype, Json, ModelName, Quiet, app
from fulcra.models import check, families_markdown, families_table, load


@app.command("families", epilog="Example: fulcra families --json")
def families_command(
    as_json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of the documentation.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """The model families fulcra can read and edit, each verified anew on a tiny random model."""
    if markdown:
        typer.echo(families_markdown(), nl=False)
        return
    reports = families_table()
    if as_json:
        typer.echo(json.dumps([{**asdict(report), "passed": report.passed} for report in reports]))
    elif not quiet:
        table = Table(
            "model type",
            "neurons: input of",
            "effective write",
            *(one.name for one in reports[0].checks),
        )
        for report in reports:
            states = ["ok" if one.passed else "FAIL" for one in report.checks]
            table.add_row(report.model_type, report.neurons, report.effective_write, *states)
        Console().print(table)
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


@app.command("check", epilog="Example: fulcra check apothecary-sparse --json")
def check_command(
    model: ModelName,
    dtype: Dtype = None,
    device: Device = "cpu",
    bits: Annotated[int | None, typer.Option(help="8 or 4 for quantized weights.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the load-time validation of a model and print each check with its numbers; exit code 1 if
    one fails.
    """
    checks = check(load(model, dtype, device, bits=bits, check=False))
    passed = all(one.passed is not False for one in checks)
    if as_json:
        entries = [
            asdict(one) | {"found": one.found if isfinite(one.found) else None} for one in checks
        ]
        typer.echo(json.dumps({"model": model, "passed": passed, "checks": entries}))
    elif not quiet:
        for one in checks:
            state = "n/a " if one.passed is None else "ok  " if one.passed else "FAIL"
            note = f" ({one.note})" if one.note else ""
            typer.echo(f"{state} {one.name:8} {one.module}: {one.law}: {one.numbers}{note}")
    if not passed:
        raise typer.Exit(1)
