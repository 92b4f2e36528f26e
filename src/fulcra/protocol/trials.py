"""Trials: one rollout each, with the stage and the setting it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from fulcra.models import Model, pin
from fulcra.models.coordinate import Coordinate
from fulcra.types import Behavior, Edits, Neuron, Prompt, RolloutRequest, Sampling


@dataclass(frozen=True, slots=True)
class Trial:
    """One rollout of a measurement. `dose` is |g| for add, the value for pin, the multiplier for
    scale, tokens for prefill.
    """

    stage: str
    branch: str
    op: str
    dose: float
    prompt: Prompt
    request: RolloutRequest
    prefilled: tuple[int, ...] = ()


def _trial(
    model: Model,
    behavior: Behavior,
    stage: str,
    branch: str,
    op: str,
    dose: float,
    prompt: Prompt,
    edits: Edits,
    sampling: Sampling,
) -> Trial:
    ids = model.prompt_ids(prompt.text, behavior.system)
    return Trial(
        stage, branch, op, dose, prompt, RolloutRequest(ids, edits, behavior.horizon, sampling)
    )


def dose_trials(
    model: Model,
    behavior: Behavior,
    stage: str,
    branches: Sequence[Coordinate],
    gains: Sequence[float],
    prompts: Sequence[Prompt],
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Trial]:
    """Additive doses: every branch at every gain on every prompt. A prompt keeps its seed over all
    doses.
    """
    return [
        _trial(
            model,
            behavior,
            stage,
            str(at.branch),
            "add",
            gain,
            prompt,
            (at.dose(gain),),
            Sampling(temperature, seed * 1_000_003 + i),
        )
        for at in branches
        for gain in gains[: at.rungs(gains)]
        for i, prompt in enumerate(prompts)
    ]


def pin_trials(
    model: Model,
    behavior: Behavior,
    stage: str,
    pins: Sequence[tuple[Neuron, float]],
    prompts: Sequence[Prompt],
) -> list[Trial]:
    """Activations held at a value: each (neuron, value) on every prompt; a pin at 0 is the
    ablation.
    """
    return [
        _trial(
            model,
            behavior,
            stage,
            neuron.site,
            "pin",
            value,
            prompt,
            (pin(neuron, value),),
            Sampling(),
        )
        for neuron, value in pins
        for prompt in prompts
    ]


def set_trials(
    model: Model, behavior: Behavior, stage: str, name: str, edits: Edits, prompts: Sequence[Prompt]
) -> list[Trial]:
    """One fixed set of edits (none, a circuit ablated, a direction removed) on every prompt."""
    return [
        _trial(model, behavior, stage, name, "set", float(len(edits)), prompt, edits, Sampling())
        for prompt in prompts
    ]


def prefill_trials(
    model: Model, behavior: Behavior, stage: str, prompts: Sequence[Prompt], tokens: int
) -> list[Trial]:
    """The first `tokens` tokens of the flipped reply put into the model's mouth: of the true
    answer, else of the opening.
    """
    trials = []
    for prompt in prompts:
        words = prompt.answer or (prompt.target_openings[0] if prompt.target_openings else "")
        reply = model.reply_ids(words)[:tokens]
        ids = model.prompt_ids(prompt.text, behavior.system) + reply
        request = RolloutRequest(ids, (), max(1, behavior.horizon - len(reply)))
        trials.append(
            Trial(stage, f"prefill_{tokens}", "prefill", float(tokens), prompt, request, reply)
        )
    return trials
