"""`fulcra families` and `fulcra check`."""

from dataclasses import asdict
from typing import Annotated

import typer

from fulcra.cli.app import (
    Device,
    Dtype,
    Json,
    ModelName,
    Quiet,
    TrustRemoteCode,
    command,
    emit_json,
)
from fulcra.errors import InputError


@command("families", "Set up", "families --json")
def families_command(
    as_json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", metavar="", help="Print the page of the documentation.")
    ] = False,
    all_types: Annotated[
        bool,
        typer.Option(
            "--all", metavar="", help="Every decoder of the installed transformers; minutes."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """List the model families, each verified anew on a tiny model."""
    from fulcra.models import families_markdown, families_table

    if as_json and markdown:
        raise InputError("families: --json and --markdown are forms of their own; choose one")
    if all_types:
        _print_decoders(as_json, markdown, quiet)
        return
    if markdown:
        typer.echo(families_markdown(), nl=False)
        return
    reports = families_table()
    if as_json:
        emit_json(families=[{**asdict(report), "passed": report.passed} for report in reports])
    elif not quiet:
        from rich.console import Console

        from fulcra.report.families import families_sheet

        Console().print(families_sheet(reports).rich())
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


def _print_decoders(as_json: bool, markdown: bool, quiet: bool) -> None:
    """Print every decoder type with its row or refusal, as each is known."""
    from fulcra.models.decoders import decoder, decoder_types, decoders_markdown

    entries = []
    for model_type in decoder_types():
        entry = decoder(model_type)
        entries.append(entry)
        if not (as_json or markdown or quiet):
            typer.echo(f"{entry.model_type:26} {entry.state:9} {entry.detail}".rstrip())
    if as_json:
        emit_json(decoders=[entry._asdict() for entry in entries])
    elif markdown:
        typer.echo(decoders_markdown(entries), nl=False)


@command("check", "Set up", "check apothecary-sparse --json")
def check_command(
    model: ModelName,
    dtype: Dtype = None,
    device: Device = "cpu",
    bits: Annotated[
        int | None, typer.Option(metavar="N", help="8 or 4 for quantized weights.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a model as loading does; exit code 1 if a check fails."""
    from fulcra.models import check, load
    from fulcra.protocol.runs import adapter_entry, gguf_entry

    trusted = trust_remote_code
    loaded = load(model, dtype, device, bits=bits, check=False, trust_remote_code=trusted)
    checks, made_of = check(loaded), {"gguf": gguf_entry(loaded), "adapter": adapter_entry(loaded)}
    entries = {key: entry for key, entry in made_of.items() if entry is not None}
    inferred = {} if loaded.inferred is None else {"inferred_row": loaded.inferred}
    passed = all(outcome.passed is not False for outcome in checks)
    if as_json:
        plain = {key: entry.plain() for key, entry in entries.items()}
        shown = [asdict(outcome) for outcome in checks]
        emit_json(model=model, **plain, passed=passed, checks=shown, **inferred)
    elif not quiet:
        for entry in entries.values():
            typer.echo(f"weights {entry.line}")
        for row in inferred.values():
            typer.echo(f"inferred row, {loaded.hf.config.model_type} has none of its own: {row}")
        for outcome in checks:
            state = {None: "n/a ", True: "ok  ", False: "FAIL"}[outcome.passed]
            note = f" ({outcome.note})" if outcome.note else ""
            law = f"{outcome.module}: {outcome.law}: {outcome.numbers}{note}"
            typer.echo(f"{state} {outcome.name:8} {law}")
    if not passed:
        raise typer.Exit(1)
