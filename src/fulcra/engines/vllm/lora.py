"""Scales by vLLM's own LoRA: a scaled neuron is a change of rank 1 to its down projection.

Factor s on neuron i is W_down + (s - 1) w_i e_i^T, w_i its write vector: A = e_i picks the neuron
out, B = (s - 1) w_i writes what it writes too much or too little. vLLM keeps LoRA in its graphs.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from fulcra.models import Model
from fulcra.types import Edits, Neuron

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

#: Different adapters in one batch of vLLM; a request with another one waits.
TOGETHER = 64
#: One neuron a layer.
RANK: Final = 1
#: Numbers of adapters: vLLM holds those it has read, and knows them by nothing else.
_NUMBERS = count(1)


@contextmanager
def adapters(model: Model, sets: Sequence[Edits]) -> Iterator[list["LoRARequest"]]:
    """The adapter of every edit set, in a folder of this user alone that goes with the block.

    A request without edits has one too, which writes nothing: where a batch is mixed, vLLM's
    kernels for a CPU give those that name none the adapter in the last place.
    """
    from vllm.lora.request import LoRARequest

    made: dict[Edits, LoRARequest] = {}
    with TemporaryDirectory(prefix="fulcra-lora-") as folder:
        for edits in sets:
            if edits not in made:
                number = next(_NUMBERS)
                path = Path(folder) / str(number)
                _write(model, edits, path)
                made[edits] = LoRARequest(str(number), number, str(path))
        yield [made[edits] for edits in sets]


def _write(model: Model, edits: Edits, folder: Path) -> None:
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": [target(model)],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors(model, edits), folder / "adapter_model.safetensors")


def target(model: Model) -> str:
    """The name of a down projection in its MLP: of no other modules are there adapters."""
    return model.family.down.rpartition(".")[2]


def tensors(model: Model, edits: Edits) -> dict[str, Tensor]:
    """A [1, d_mlp] and B [d_model, 1] of every layer with a scaled neuron, by their names.

    Without an edit: those of layer 0, whose B is 0.
    """
    scaled = [(edit.site, edit.value) for edit in edits if isinstance(edit.site, Neuron)]
    out = dict[str, Tensor]()
    for neuron, factor in scaled or [(Neuron(0, 0), 1.0)]:
        name = f"base_model.model.{model.family.layers}.{neuron.layer}.{model.family.down}"
        picks = torch.zeros(RANK, model.width(neuron.layer))
        picks[0, neuron.index] = 1.0
        writes = (factor - 1.0) * model.write(neuron).detach().float().cpu()
        out[f"{name}.lora_A.weight"] = picks
        out[f"{name}.lora_B.weight"] = writes[:, None].contiguous()
    return out
