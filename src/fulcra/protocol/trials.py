"""Trials: one rollout each, with the stage and the setting it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from fulcra.formulas.coordinate import Coordinate
from fulcra.models import pin
from fulcra.protocol.subject import Subject
from fulcra.types import Edits, Neuron, Prompt, RolloutRequest, Sampling


@dataclass(frozen=True, slots=True)
class Trial:
    """One rollout of a measurement.

    `dose` is a gain for add, the held value for pin, the number of edits for set, the number of
    tokens for prefill.
    """

    stage: str
    branch: str
    op: str
    dose: float
    prompt: Prompt
    request: RolloutRequest
    prefilled: tuple[int, ...] = ()


def dose_trials(
    subject: Subject,
    stage: str,
    branches: Sequence[Coordinate],
    gains: Sequence[float],
    prompts: Sequence[Prompt],
    sampling: Sampling = Sampling(),
) -> list[Trial]:
    """Additive doses: every branch at every gain it reaches on every prompt.

    A prompt keeps its seed, made of `sampling.seed` and its place, over all doses.
    """
    drawn = [sampling.of_row(i) for i in range(len(prompts))]
    trials = []
    for place in branches:
        for gain in gains[: place.rungs(gains)]:
            edits = (place.dose(gain),)
            for prompt, draw in zip(prompts, drawn, strict=True):
                ids = subject.prompt_ids(prompt.text)
                request = RolloutRequest(ids, edits, subject.behavior.horizon, draw)
                trials.append(Trial(stage, str(place.branch), "add", gain, prompt, request))
    return trials


def pin_trials(
    subject: Subject,
    stage: str,
    pins: Sequence[tuple[Neuron, float]],
    prompts: Sequence[Prompt],
) -> list[Trial]:
    """Activations held at a value: each (neuron, value) on every prompt; 0 is the ablation."""
    trials = []
    for neuron, value in pins:
        edits = (pin(neuron, value),)
        for prompt in prompts:
            ids = subject.prompt_ids(prompt.text)
            request = RolloutRequest(ids, edits, subject.behavior.horizon)
            trials.append(Trial(stage, neuron.site, "pin", value, prompt, request))
    return trials


def set_trials(
    subject: Subject, stage: str, name: str, edits: Edits, prompts: Sequence[Prompt]
) -> list[Trial]:
    """One fixed set of edits (none, a circuit ablated, a direction removed) on every prompt."""
    trials, size = [], float(len(edits))
    for prompt in prompts:
        ids = subject.prompt_ids(prompt.text)
        request = RolloutRequest(ids, edits, subject.behavior.horizon)
        trials.append(Trial(stage, name, "set", size, prompt, request))
    return trials


def prefill_trials(
    subject: Subject, stage: str, prompts: Sequence[Prompt], tokens: int
) -> list[Trial]:
    """The first `tokens` tokens of the flipped reply, put into the model's mouth.

    They are of the true answer, or of the first target opening where no answer is known.
    """
    model, trials = subject.model, []
    for prompt in prompts:
        words = prompt.answer or (prompt.target_openings[0] if prompt.target_openings else "")
        reply = model.reply_ids(words)[:tokens]
        rest = max(1, subject.behavior.horizon - len(reply))
        request = RolloutRequest(subject.prompt_ids(prompt.text) + reply, (), rest)
        name = f"prefill_{tokens}"
        trials.append(Trial(stage, name, "prefill", float(tokens), prompt, request, reply))
    return trials
