"""`fulcra detect`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fulcra.cli.app import (
    BehaviorName,
    Device,
    Dtype,
    Json,
    ModelName,
    NeuronName,
    Out,
    Quiet,
    Seed,
    TrustRemoteCode,
    command,
    emit,
    free,
    opened,
    task_of,
)
from fulcra.errors import InputError


@command("detect", "Neuron", "detect apothecary-sparse L2.N307 --behavior refusal")
def detect_command(
    model: ModelName,
    neuron: NeuronName,
    behavior: BehaviorName = "refusal",
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                'Score on these instead: JSON lines {"text": "...", "label": true}; the contrast'
                " split then fits."
            ),
        ),
    ] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A classifier or generative guard to compare with; repeat for more.",
        ),
    ] = None,
    out: Out = None,
    guard_words: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="What a generative guard says of positives and of negatives. Default: unsafe,safe",
        ),
    ] = None,
    seed: Seed = 0,
    dtype: Dtype = None,
    device: Device = "cpu",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell a behavior's prompts from others by one neuron or a guard.

    Thresholds and weights come from one half of the contrast split (seeded), figures from the other
    half.
    """
    from fulcra.behaviors.labelled import halves, read_labelled, whole
    from fulcra.report.detectors import detector_table
    from fulcra.studies.detector import FitAndScore, Guards, detector
    from fulcra.types import Neuron

    site, task = Neuron.parse(neuron), task_of(behavior, model)
    words = guard_answers(guard_words, guard or ())
    if prompts is None:
        _, fit, score = halves(task, seed)
    else:
        fit, score = whole(task), read_labelled(prompts)
    sets = FitAndScore(fit, score, task.system)
    guards = Guards(tuple(guard or ()), words, dtype, device)
    folder = free(out)
    result = detector(opened(model, dtype, device, trust_remote_code), site, sets, guards, seed)
    if folder is not None:
        result.save(folder)
    emit(result, as_json, quiet, lambda: detector_table(result))


def guard_answers(written: str | None, guards: Sequence[str]) -> tuple[str, str]:
    """What a generative guard says of positives and of negatives; InputError where that is none."""
    from fulcra.studies.detector import GUARD_WORDS

    if written is None:
        return GUARD_WORDS
    if not guards:
        raise InputError("--guard-words: words of a guard, and none is named; add --guard MODEL")
    words = [word.strip() for word in written.split(",")]
    if len(words) != 2 or not all(words):
        raise InputError(
            f"--guard-words {written!r}: expected two words with a comma between them, as in"
            " unsafe,safe"
        )
    return words[0], words[1]
