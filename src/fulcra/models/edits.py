"""Interventions as values: what each does to a neuron, or to a direction of the stream."""

import math

from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.types import Anchor, Branch, Direction, Edit, Edits, Neuron, Op, Positions


def direction(layer: int, vector: Tensor, name: str = "direction") -> Direction:
    """A write to the stream at the output of block `layer`: a steering vector, an SAE's column.

    vector [d_model], any norm; InputError where it is no vector of finite numbers, or 0.
    """
    if vector.ndim != 1 or not vector.isfinite().all() or not vector.any():
        actual = (
            f"shape {list(vector.shape)}, {int((~vector.isfinite()).sum())} numbers not finite,"
            f" norm {float(vector.norm()):g}"
        )
        raise InputError(
            f"direction({layer}, {name!r}): {actual}; give one finite vector [d_model] that is not"
            " 0"
        )
    return Direction(layer, name, vector.detach())


def add(
    site: Branch,
    gain: float | None = None,
    alpha: float | None = None,
    positions: Positions = "all",
) -> Edit:
    """A dose added to a neuron's activation, or a vector to a block's output.

    `gain` is in budgets B (signed by the pole), `alpha` in activation units, for a Direction in
    multiples of its vector. A gain is a dose once a verb measures the budget: `edit`, `roll` and
    `recipe` on the generic text of the behavior they are called with, else on bundled text.
    """
    if (gain is None) == (alpha is None):
        raise InputError(
            f"add({site}): give exactly one of gain= (in budgets) and alpha= (activation units)"
        )
    op: Op = "add_vector" if isinstance(site, Direction) else "add"
    return require_numbers(Edit(site, op, math.nan if alpha is None else alpha, gain, positions))


def scale(neuron: Neuron, factor: float, positions: Positions = "all") -> Edit:
    """The activation multiplied by `factor`: 0 is the zero ablation, 1 changes nothing."""
    return require_numbers(Edit(neuron, "scale", factor, None, positions))


def pin(neuron: Neuron, value: float, positions: Positions = "all") -> Edit:
    """The activation held at `value` [activation units]."""
    return require_numbers(Edit(neuron, "pin", value, None, positions))


def anchor(
    neuron: Neuron, bound: float, gap: float, k: float = 1.0, positions: Positions = "all"
) -> Edit:
    """The activation held at clamp(k m* v/d - d, m*) on each prompt (paper C; docs/decisions/0008).

    `bound` is m*, `gap` d = a_H - a_h, v the prompt's natural activation, read where it runs
    (`fulcra.models.anchors`).
    """
    return require_numbers(Edit(neuron, "anchor", bound, None, positions, Anchor(k, gap)))


def add_mlp(direction: Direction, alpha: float = 1.0, positions: Positions = "all") -> Edit:
    """`alpha` times the direction's vector added to what its layer's MLP writes (paper B's CAA).

    Before any norm.
    """
    return require_numbers(Edit(direction, "add_mlp", alpha, None, positions))


def ablate_direction(direction: Direction) -> Edit:
    """A direction removed from the stream after every write to it, at every position."""
    return Edit(direction, "ablate_direction", 1.0)


def require_numbers(edit: Edit) -> Edit:
    """The edit itself; InputError where its dose cannot be meant."""
    numbers = {"dose": edit.value if edit.gain is None else edit.gain}
    if edit.anchor is not None:
        numbers |= {"k": edit.anchor.k, "d": edit.anchor.gap}
        if edit.anchor.gap == 0:
            raise InputError(
                f"{edit}: an anchor divides by d = a_H - a_h, which is 0 here; choose a neuron that"
                " tells the prompts apart"
            )
    wrong = next((name for name, number in numbers.items() if not math.isfinite(number)), None)
    if wrong is not None:
        raise InputError(f"{edit}: {wrong} is {numbers[wrong]}; give a finite number")
    return edit


def affine(edit: Edit) -> tuple[float, float]:
    """(factor, shift) of a neuron's edit, h <- factor * h + shift.

    InputError while the dose is in gain units. The shift of an anchor is nan until its prompt has
    been read.
    """
    if math.isnan(edit.value):
        raise InputError(
            f"{edit}: its dose is still in gain units; apply it with fulcra.edit, which knows the"
            " budget"
        )
    shifts = {
        "add": (1.0, edit.value),
        "scale": (edit.value, 0.0),
        "pin": (0.0, edit.value),
        "anchor": (0.0, math.nan),
    }
    return shifts[edit.op]


def require_edits(model: Model, edits: Edits) -> None:
    """InputError unless the model has what the edits of a row act on, without a doubt.

    Two edits of one neuron, or two ablated directions, leave doubt about what they do together.
    """
    for edit in edits:
        if isinstance(edit.site, Neuron):
            model.require(edit.site)
        else:
            _require_direction(model, edit, edit.site)
    neurons = [
        (site.layer, site.index, site.expert)
        for edit in edits
        if isinstance(site := edit.site, Neuron)
    ]
    if len(set(neurons)) < len(neurons):
        raise InputError(
            f"edits {', '.join(map(str, edits))}: one neuron is edited twice in one row; give one"
            " edit a neuron"
        )
    if sum(edit.op == "ablate_direction" for edit in edits) > 1:
        raise InputError(
            f"edits {', '.join(map(str, edits))}: two directions are ablated in one row; give one"
        )


def _require_direction(model: Model, edit: Edit, direction: Direction) -> None:
    size, layers = direction.vector.numel(), model.n_layers
    if direction.layer >= layers or direction.layer < 0:
        raise InputError(f"direction {direction}: {model.name} has layers 0-{layers - 1}")
    if tuple(direction.vector.shape) != (model.d_model,):
        raise InputError(
            f"direction {direction}: its vector has {size} numbers, {model.name} has d_model"
            f" {model.d_model}"
        )
    if not bool(direction.vector.isfinite().all()):
        raise InputError(
            f"direction {direction}: its vector holds numbers that are not finite; give finite ones"
        )
    if edit.op == "ablate_direction" and (
        edit.value != 1 or edit.positions != "all" or not bool(direction.vector.any())
    ):
        raise InputError(
            f"{edit}: a direction is ablated whole, at all positions, and has a length; give value"
            " 1 and a vector"
        )
