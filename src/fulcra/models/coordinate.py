"""A dose's one coordinate: budget B = |r|/|v|, clean alignment c0, alignment (law.md section 2)."""

import math

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.formulas.budget import budget
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.post_norm import Turning
from fulcra.models.adapter import Model
from fulcra.models.capture import Stream, as_read, stream_before
from fulcra.models.experts import n_experts
from fulcra.types import Branch, Direction, Neuron


def direction_of(model: Model, place: Coordinate) -> Tensor:
    """Where a small dose moves the stream, [d_model], of any length, unsigned; CPU, float32."""
    if isinstance(place.branch, Direction):
        return place.branch.vector.float().cpu()
    write = model.write(place.branch).cpu()
    return write if place.turning is None else write * _gain_of_norm(model, place.branch.layer)


def moves(model: Model, layer: int) -> Tensor:
    """Where a small dose of each neuron moves the stream, [neuron, d_model], float32.

    As later blocks read it, on the layer's device.
    """
    writes = model.writes(layer)
    if model.family.post_norm:
        writes = writes * _gain_of_norm(model, layer).to(writes.device)
    return as_read(model, writes)


def coordinate(model: Model, clean: Stream, branch: Branch) -> Coordinate:
    """Budget and clean alignment of a branch, from the clean stream of the model under audit.

    InputError for a write of norm zero, and for an expert that saw none of the generic text.
    """
    write = _write(model, branch)
    size = float(write.norm())
    if size == 0:
        raise InputError(
            f"branch {branch}: its write direction has norm 0, so no dose moves the stream; choose"
            " another"
        )
    if isinstance(branch, Neuron) and clean.mlp is not None:
        return _turned(model, clean, branch, write)
    norm, unit_mean, weight = _met(clean, branch)
    return Coordinate(
        branch, budget(norm, size * weight), float(unit_mean @ write) / size * branch.pole
    )


def budgets(model: Model, clean: Stream) -> Tensor:
    """The budget of every neuron [activation units], [layer, d_mlp], float32.

    Infinite where no dose moves the stream. Where a norm follows the MLP it is that of a small
    dose, as in `coordinate`.
    """
    out = torch.full((model.n_layers, model.d_mlp), torch.inf)
    for layer in range(model.n_layers):
        writes = as_read(model, model.writes(layer)).cpu()
        if clean.mlp is not None:
            out[layer, : len(writes)] = _turned_budgets(model, clean, layer, writes)
            continue
        experts = model.experts(layer)
        width = len(writes) // (1 if experts is None else n_experts(experts))
        for start in range(0, len(writes), width):
            neuron, part = model.neuron(layer, start), slice(start, start + width)
            if _sees_text(clean, neuron):
                norm, _, weight = _met(clean, neuron)
                out[layer, part] = budget(norm, writes[part].norm(dim=-1) * weight)
    return out


def _sees_text(clean: Stream, neuron: Neuron) -> bool:
    """Whether tokens of the generic text reach the neuron: not those of an expert without any."""
    if neuron.expert is None or clean.routing is None:
        return True
    return float(clean.routing.share[neuron.layer, neuron.expert]) > 0


def _turned_budgets(model: Model, clean: Stream, layer: int, writes: Tensor) -> Tensor:
    """Budgets of all columns through the norm after the MLP, by `Turning.slope` at once."""
    assert clean.mlp is not None
    y, v = clean.mlp[layer].double(), writes.double()
    scale = math.sqrt(model.d_model) * _gain_of_norm(model, layer).double()
    squares = y.square().sum(-1, keepdim=True) + model.d_model * float(model.config.rms_norm_eps)
    inverse = squares.rsqrt()
    turned = (y @ v.T) * inverse**2
    across = (
        (scale * v).square().sum(-1)
        - 2 * turned * ((scale**2 * y) @ v.T)
        + turned**2 * (scale * y).square().sum(-1)[:, None]
    )
    slope = across.clamp(min=0).sqrt() * inverse * clean.multiplier[layer].abs()
    return (clean.norm[layer] / slope).mean(0).float()


def _write(model: Model, branch: Branch) -> Tensor:
    """The branch's write direction as later blocks read it, [d_model], float32, on the CPU."""
    if isinstance(branch, Neuron):
        return as_read(model, model.write(branch).cpu())
    if not 0 <= branch.layer < model.n_layers or branch.vector.shape != (model.d_model,):
        raise InputError(
            f"direction {branch}: layer {branch.layer}, vector {list(branch.vector.shape)};"
            f" {model.name} has layers 0-{model.n_layers - 1} and d_model {model.d_model}"
        )
    return as_read(model, branch.vector.float().cpu())


def _met(clean: Stream, branch: Branch) -> tuple[float, Tensor, float]:
    """Mean |r|, mean r/|r| and the factor of a neuron's write, where the branch acts."""
    if not isinstance(branch, Neuron):
        return float(clean.norm[branch.layer]), clean.unit_mean[branch.layer], 1.0
    multiplier = abs(float(clean.multiplier[branch.layer]))
    if branch.expert is None or clean.routing is None:
        return float(clean.norm[branch.layer]), clean.unit_mean[branch.layer], multiplier
    routing, place = clean.routing, (branch.layer, branch.expert)
    if routing.share[place] == 0:
        raise InputError(
            f"neuron {branch}: its expert sees no token of the generic text, so its dose has no"
            " unit; choose another or give more text"
        )
    weight = multiplier * float(routing.weight[place])
    return float(routing.norm[place]), routing.unit_mean[place], weight


def _turned(model: Model, clean: Stream, neuron: Neuron, write: Tensor) -> Coordinate:
    assert clean.mlp is not None
    layer, gamma = neuron.layer, _gain_of_norm(model, neuron.layer)
    turning = Turning.of(
        stream_before(model, clean, layer),
        clean.mlp[layer],
        write * neuron.pole,
        gamma,
        float(model.config.rms_norm_eps),
    )
    slope = turning.slope.float() * clean.multiplier[layer].abs()
    return Coordinate(
        neuron,
        float((clean.norm[layer] / slope).mean()),
        turning.alignment(0.0),
        turning,
        turning.cap,
    )


@torch.no_grad()
def _gain_of_norm(model: Model, layer: int) -> Tensor:
    """The factor gamma of the norm after the MLP, [d_model], as it acts, not as it is stored."""
    norm = model.post_norm(layer)
    assert norm is not None
    ones = torch.full((model.d_model,), 1e3, device=model.device_at(layer), dtype=model.dtype)
    gamma: Tensor = norm(ones).float().cpu()
    return gamma


def realised_alignment(
    model: Model, clean: Stream, place: Coordinate, gain: float
) -> tuple[float, float]:
    """The 5 and 95 % quantiles over generic positions of cos(r + dose, v), signed by the pole.

    In a mixture over routed tokens.
    """
    if place.turning is not None:
        alignments = place.turning.alignments(place.alpha(gain)).float()
    else:
        alignments = _dosed_alignments(model, clean, place.branch, place.alpha(gain))
    low, high = alignments.quantile(alignments.new_tensor([0.05, 0.95])).tolist()
    return low, high


def _dosed_alignments(model: Model, clean: Stream, branch: Branch, alpha: float) -> Tensor:
    """cos(r + dose, v) at the sampled positions where the branch acts, [pos]."""
    layer = branch.layer
    write, residual = _write(model, branch) * branch.pole, clean.sample[layer]
    factor = 1.0 if isinstance(branch, Direction) else float(clean.multiplier[layer])
    size = torch.full((len(residual),), factor)
    if isinstance(branch, Neuron) and branch.expert is not None and clean.routing is not None:
        routed = clean.routing.sample[layer, :, branch.expert]
        size, residual = (size * routed)[routed > 0], residual[routed > 0]
    dosed = residual + alpha * size[:, None] * write
    alignments: Tensor = dosed @ write / (dosed.norm(dim=-1) * write.norm())
    return alignments
