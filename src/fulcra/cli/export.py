"""`fulcra export`."""

from pathlib import Path
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
    opened,
    writable,
)
from fulcra.cli.recipe import RecipePath


@command("export", "Use it", "export model.gguf --recipe recipe.json --out dose.gguf")
def export_command(
    model: ModelName,
    recipe: RecipePath,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", dir_okay=False, help="The control vector, a GGUF file."),
    ],
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write additive doses as a control vector for llama.cpp.

    Scales, pins, anchors, layer 0, doses that spare the prompt, and families with a norm after the
    MLP are refused, each with its reason.
    """
    from fulcra.studies.recipe import Recipe

    writable(out.parent)
    made = Recipe.load(recipe)
    vector = made.control_vector(opened(model, dtype, device, trust_remote_code))
    source = {"recipe": made.name, "recipe_sha256": made.sha256}
    path = vector.save(out, **source, model_sha256=made.model.sha256)
    norms = {layer: float(each.norm()) for layer, each in sorted(vector.directions.items())}
    if as_json:
        directions = {f"direction.{layer}": norm for layer, norm in norms.items()}
        emit_json(path=str(path), recipe_sha256=made.sha256, norms=directions)
    elif not quiet:
        for layer, norm in norms.items():
            typer.echo(f"direction.{layer}  norm {norm:.4g}")
        typer.echo(f"llama-cli -m MODEL.gguf --control-vector {path}")
