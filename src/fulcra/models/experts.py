"""Neurons of a mixture of experts: fused weights, no module before the down projection.

The down projection is linear, so an edit that changes activation h of expert e by d changes the
experts' output by exactly w d v on tokens routed to e with router weight w, whatever implementation
runs the experts. `experts` is the transformers module of one layer, called with (tokens [token,
d_model], expert ids [token, k], router weights [token, k]).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fulcra.models.edit_groups import ExpertAffine
from fulcra.models.placement import at_hand


class Routed(NamedTuple):
    """The call of a layer's experts: tokens [..., d_model], expert ids and weights [..., k]."""

    tokens: Tensor
    expert_ids: Tensor
    weights: Tensor


def n_experts(experts: Any) -> int:
    """The number of experts of a layer."""
    return int(experts.num_experts)


def expert_width(experts: Any) -> int:
    """The number of neurons of one expert, d_mlp of a single expert."""
    return int(experts.down_proj.shape[1 if experts.is_transposed else 2])


def expert_writes(experts: Any) -> Tensor:
    """Write directions of all neurons, expert by expert, [expert * width, d_model], float32.

    Without router weights.
    """
    with at_hand(experts):
        down: Tensor = experts.down_proj.detach().float()
        return (down if experts.is_transposed else down.transpose(1, 2)).flatten(0, 1)


def expert_write(experts: Any, expert: int | Tensor, index: int | Tensor) -> Tensor:
    """Write directions v [..., d_model] of neurons, in the model's dtype, no router weights."""
    with at_hand(experts):
        down: Tensor = experts.down_proj.detach()
        return (
            down[expert, index].clone() if experts.is_transposed else down[expert, :, index].clone()
        )


def router_weight(expert_ids: Tensor, weights: Tensor, expert: int | Tensor) -> Tensor:
    """The router weight of an expert on every token, 0 where the token is not routed to it."""
    return (weights * (expert_ids == expert)).sum(-1)


def neuron_activation(experts: Any, tokens: Tensor, expert: Tensor, index: Tensor) -> Tensor:
    """Activations [n, pos] of n neurons, each on its own tokens [n, pos, d_model]."""
    width = expert_width(experts)
    gate, up = (index, width + index) if experts.is_concatenated else (2 * index, 2 * index + 1)
    with at_hand(experts):
        both = torch.stack(
            [_projected(experts, tokens, expert, column) for column in (gate, up)], -1
        )
    # Gate and up side by side are one neuron in either layout.
    activations: Tensor = experts._apply_gate(both)[..., 0]
    return activations


def _projected(experts: Any, tokens: Tensor, expert: Tensor, column: Tensor) -> Tensor:
    weight = (
        experts.gate_up_proj[expert, :, column]
        if experts.is_transposed
        else experts.gate_up_proj[expert, column]
    )
    out = torch.einsum("npd,nd->np", tokens, weight)
    return out + experts.gate_up_proj_bias[expert, column, None] if experts.has_bias else out


def all_activations(experts: Any, tokens: Tensor, expert_ids: Tensor) -> Tensor:
    """Activations of all neurons, [token, expert * width], 0 in experts not routed to."""
    out = tokens.new_zeros(len(tokens), n_experts(experts), expert_width(experts))
    with at_hand(experts):
        for expert in expert_ids.unique().tolist():
            where = (expert_ids == expert).any(-1).nonzero()[:, 0]
            weight = experts.gate_up_proj[expert]
            both = tokens[where] @ (weight if experts.is_transposed else weight.T)
            both = both + experts.gate_up_proj_bias[expert] if experts.has_bias else both
            out[where, expert] = experts._apply_gate(both)
    return out.flatten(1)


def expert_change(experts: Any, calls: Routed, edits: ExpertAffine) -> Tensor:
    """What the edits of n neurons change in the experts' output, [n, pos, d_model].

    Each neuron has its own tokens, `calls` [n, pos, ...]. Its activation is computed only where
    some factor is not 1.
    """
    expert, index = edits.expert, edits.index
    change = edits.shift[:, None]
    if edits.reads:
        activation = neuron_activation(experts, calls.tokens, expert, index)
        change = change + (edits.factor - 1)[:, None] * activation
    weight = router_weight(calls.expert_ids, calls.weights, expert[:, None, None])
    write = expert_write(experts, expert, index)[:, None]
    return (weight.to(calls.tokens.dtype) * change)[..., None] * write
