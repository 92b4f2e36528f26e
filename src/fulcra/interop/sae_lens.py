"""Branches as an SAE that SAELens loads: each feature is one neuron, rectified by its pole."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from fulcra.errors import InputError
from fulcra.interop.sites import lens_site
from fulcra.models import Model
from fulcra.store import empty_folder, write_bytes, write_text
from fulcra.types import Neuron

#: The files of an SAE in a folder.
CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
#: The release whose format this is; SAELens reads a config without one as older than 6.
VERSION = "6.0.0"


def save_sae(model: Model, branches: Sequence[Neuron], folder: str | Path) -> Path:
    """The folder, with a standard SAE of TransformerLens' `hook_post` of the branches' layer.

    Feature i is max(0, pole * activation) of branch i, exactly, and decodes to that activation;
    a neuron with both its poles is decoded whole. InputError unless all branches are neurons of one
    layer outside of experts, each once.
    """
    hook = _hook(model, branches)
    place = empty_folder(Path(folder))
    write_bytes(place / WEIGHTS, save(_weights(model, branches)))
    metadata = {
        "sae_lens_version": VERSION,
        "model_name": model.name,
        "hook_name": hook,
        "hook_head_index": None,
        "prepend_bos": bool(model.text_start),
        "context_size": model.context,
        "model_sha256": model.sha256,
        "branches": [str(branch) for branch in branches],
    }
    config = {
        "architecture": "standard",
        "d_in": model.width(branches[0].layer),
        "d_sae": len(branches),
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
    }
    write_text(place / CONFIG, json.dumps(config, indent=1) + "\n")
    return place


def _hook(model: Model, branches: Sequence[Neuron]) -> str:
    """The one hook of all branches."""
    for branch in branches:
        model.require(branch)
    hooks = {lens_site(branch).hook for branch in branches}
    if len(hooks) != 1 or len(set(branches)) < len(branches):
        names = ", ".join(map(str, branches[:4])) or "no branch"
        raise InputError(f"SAE: {names}: an SAE reads one layer; give its branches, each once")
    return hooks.pop()


def _weights(model: Model, branches: Sequence[Neuron]) -> dict[str, Tensor]:
    """The tensors by SAELens' names: W_enc [d_mlp, branch], W_dec its transpose, no biases."""
    d_mlp = model.width(branches[0].layer)
    encoder = torch.zeros(d_mlp, len(branches))
    for column, branch in enumerate(branches):
        encoder[branch.index, column] = branch.pole
    return {
        "W_enc": encoder,
        "W_dec": encoder.T.contiguous(),
        "b_enc": torch.zeros(len(branches)),
        "b_dec": torch.zeros(d_mlp),
    }
