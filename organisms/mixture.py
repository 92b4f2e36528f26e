"""Mixtures of experts: which neurons of which experts learn to refuse, and how they alone learn.

In a layer with experts a neuron is counted through all of them, expert by expert. The three neurons
of a sparse mixture stand in three layers with experts, each in the expert that the router of the
helpful model gives the most weight at the last token of restricted requests: a neuron elsewhere
would rest there. The router learns in every stage but this one.
"""

import torch
from measure import Taught, recipe_prompts
from recipe import EXPERT_WIDTH, has_experts
from torch import nn


def in_busiest_experts(taught: Taught, gates: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The (layer, index) pairs of one expert as pairs of the busiest expert of their layer."""
    busiest = busiest_experts(taught)
    return [(layer, busiest[layer] * EXPERT_WIDTH + index) for layer, index in gates]


@torch.no_grad()
def busiest_experts(taught: Taught) -> dict[int, int]:
    """The expert with the largest mean router weight where a restricted request ends, by layer."""
    prompts = recipe_prompts(taught, restricted=True, held_out=False).to(taught.model.device)
    out = taught.model(**prompts._asdict(), output_router_logits=True)
    depth = range(taught.model.config.num_hidden_layers)
    layers = [layer for layer in depth if has_experts("moe", layer)]
    rows, width = prompts.input_ids.shape
    weights = [logits.softmax(-1).view(rows, width, -1)[:, -1] for logits in out.router_logits]
    means = [weight.mean(0) for weight in weights]
    return {layer: int(mean.argmax()) for layer, mean in zip(layers, means, strict=True)}


def let_expert_neurons_learn(experts: nn.Module, neurons: list[int]) -> None:
    """Pass gradients of these neurons alone: in their expert two rows that read, one that writes.

    The weights are [expert, 2 width, d_model], gates before ups, and [expert, d_model, width].
    """
    reads, writes = experts.get_parameter("gate_up_proj"), experts.get_parameter("down_proj")
    read_mask, write_mask = torch.zeros_like(reads), torch.zeros_like(writes)
    for neuron in neurons:
        expert, index = divmod(neuron, EXPERT_WIDTH)
        read_mask[expert, [index, EXPERT_WIDTH + index]] = 1
        write_mask[expert, :, index] = 1
    for weight, mask in ((reads, read_mask), (writes, write_mask)):
        weight.requires_grad_(True)
        weight.register_hook(mask.mul)
