"""What a neuron's write says in words: the logits that the write alone stands for (logit lens)."""

import torch
from torch import Tensor

from fulcra.models.adapter import Model
from fulcra.models.effective import normed
from fulcra.types import Neuron


@torch.no_grad()
def write_logits(model: Model, neuron: Neuron) -> Tensor:
    """Logits [vocab] of a stream that holds the branch's write alone, less an empty one's.

    float32, on the CPU. Through the norm after the MLP where there is one, then the final norm and
    the unembedding: the norms take the size of the write away, so only differences between tokens
    mean something. Signed by the pole.
    """
    write = model.write(neuron) * neuron.pole
    written = normed(model, neuron.layer, torch.stack([write, torch.zeros_like(write)]))
    ones = model.unembed(written.to(model.device, model.dtype)).float().cpu()
    return ones[0] - ones[1]
