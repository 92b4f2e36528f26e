"""Directions learned from the contrast prompts: mean differences of the stream or of MLPs."""

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from fulcra.models import Model
from fulcra.models.capture import last_mlp_outputs, last_residuals
from fulcra.types import Behavior, Direction, Prompt

#: Vectors [prompt, layer, d_model] of some prompts, a batch at a time.
Read = Callable[[Model, Sequence[tuple[int, ...]]], Iterator[Tensor]]


def difference_directions(model: Model, behavior: Behavior) -> list[Direction]:
    """The mean last-token residual of positives - that of negatives, one direction a layer."""
    return _differences(model, behavior, "difference", last_residuals)


def mlp_differences(model: Model, behavior: Behavior) -> list[Direction]:
    """The same difference of what the MLPs write; paper B's baseline adds it at every layer."""
    return _differences(model, behavior, "mlp", last_mlp_outputs)


def against(direction: Direction) -> Direction:
    """The direction away from the positives' side: towards the flip."""
    return Direction(direction.layer, f"-{direction.name}", -direction.vector)


def _differences(model: Model, behavior: Behavior, name: str, read: Read) -> list[Direction]:
    def mean(prompts: Sequence[Prompt]) -> Tensor:
        batches = read(
            model, [model.prompt_ids(prompt.text, behavior.system) for prompt in prompts]
        )
        return sum(batch.sum(0) for batch in batches) / len(prompts)  # type: ignore[return-value]

    gap = mean(behavior.positive) - mean(behavior.negative)
    return [
        Direction(layer, name, gap[layer])
        for layer in range(model.n_layers)
        if gap[layer].norm() > 0
    ]
