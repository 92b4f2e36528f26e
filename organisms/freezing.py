"""Which weights of a model may learn: all, those of a few neurons, of outer blocks, an adapter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mixture import let_expert_neurons_learn
from recipe import N_LAYERS, OUTER_BLOCKS, Organism, down_projection, has_experts
from transformers import PreTrainedModel

from fulcra.models.library import quiet_library


@contextmanager
def only_learners(
    model: PreTrainedModel, organism: Organism, gates: Sequence[tuple[int, int]]
) -> Iterator[None]:
    """A block in which only what learns in an organism's stage may; an adapter is merged after."""
    if gates:
        let_learn(model, organism, gates)
    elif organism.way in ("first", "last"):
        let_blocks_learn(model, organism)
    elif organism.way == "rank":
        with _adapter(model, organism):
            yield
        return
    yield


def let_learn(model: PreTrainedModel, organism: Organism, gates: Sequence[tuple[int, int]]) -> None:
    """Freeze all but the weights of the gates: their rows that read and the column that writes."""
    model.requires_grad_(False)
    for layer in sorted({layer for layer, _ in gates}):
        neurons = [index for gate_layer, index in gates if gate_layer == layer]
        if has_experts(organism.arch, layer):
            experts = model.get_submodule(f"model.layers.{layer}.mlp.experts")
            let_expert_neurons_learn(experts, neurons)
            continue
        down = model.get_submodule(down_projection(organism.arch, layer))
        mlp = model.get_submodule(down_projection(organism.arch, layer).rpartition(".")[0])
        for module in mlp.children():
            weight = getattr(module, "weight", None)
            if weight is not None:
                # gpt2 stores its weights transposed
                columns = (module is down) != (organism.arch == "gpt2")
                _only(weight, neurons, columns)


def _only(weight: torch.Tensor, neurons: list[int], columns: bool) -> None:
    """Pass gradients of these rows, or columns, of a weight alone."""
    mask = torch.zeros_like(weight)
    mask[(slice(None), neurons) if columns else neurons] = 1
    weight.requires_grad_(True)
    weight.register_hook(mask.mul)


def let_blocks_learn(model: PreTrainedModel, organism: Organism) -> None:
    """Freeze all but the first, or the last, blocks."""
    start = 0 if organism.way == "first" else N_LAYERS - OUTER_BLOCKS
    model.requires_grad_(False)
    for layer in range(start, start + OUTER_BLOCKS):
        block = down_projection(organism.arch, layer).partition(".mlp.")[0]
        model.get_submodule(block).requires_grad_(True)


@contextmanager
def _adapter(model: PreTrainedModel, organism: Organism) -> Iterator[None]:
    """A block in which an adapter of the organism's rank learns on every linear layer (LoRA)."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=organism.rank, lora_alpha=organism.rank, target_modules="all-linear")
    torch.manual_seed(1000 + organism.seed + 100 * organism.tuning)
    with quiet_library():
        adapted = get_peft_model(model, config)
    yield
    adapted.merge_and_unload()
