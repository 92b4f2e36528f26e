"""`fulcra detect`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fulcra.behaviors import load_behavior
from fulcra.behaviors.labelled import halves, read_labelled, whole
from fulcra.cli.app import BehaviorName, Dtype, Json, ModelName, NeuronName, Quiet, Seed, app
from fulcra.errors import InputError
from fulcra.models import load, world_of
from fulcra.report.detectors import detector_table
from fulcra.studies.detector import detector
from fulcra.types import Neuron


@app.command("detect", epilog="Example: fulcra detect apothecary-sparse L2.N307 --behavior refusal")
def detect_command(
    model: ModelName,
    neuron: NeuronName,
    behavior: BehaviorName = "refusal",
    prompts: Annotated[
        Path | None,
        typer.Option(
            help=(
                'Score on these instead: JSON lines {"text": "...", "label": true}; the contrast'
                " split then fits."
            )
        ),
    ] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(help="A classifier or generative guard to compare with; repeat for more."),
    ] = None,
    guard_words: Annotated[
        str, typer.Option(help="What a generative guard says of positives and of negatives.")
    ] = "unsafe,safe",
    seed: Seed = 0,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How well one neuron tells a behavior's prompts from others, beside a probe, a bag of words
    and any guard.

    Thresholds and weights come from one half of the contrast split (seeded), figures from the other
    half.
    """
    site, task, words = (
        Neuron.parse(neuron),
        load_behavior(behavior, world_of(model)),
        tuple(guard_words.split(",")),
    )
    if len(words) != 2:
        raise InputError(
            f"--guard-words {guard_words!r}: expected two words with a comma between them, as in"
            " unsafe,safe"
        )
    fit, score = (
        halves(task, seed)[1:] if prompts is None else (whole(task), read_labelled(prompts))
    )
    found = detector(
        load(model, dtype),
        site,
        fit,
        score,
        task.system,
        guard or (),
        (words[0], words[1]),
        seed,
        dtype,
    )
    if as_json:
        typer.echo(json.dumps(found))
    elif not quiet:
        Console().print(detector_table(found))
