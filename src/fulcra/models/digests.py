"""The hashes of weights: of files, and of tensors at hand."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn


def files_sha256(paths: Iterable[Path], before: bytes = b"") -> str:
    """The sha256 of the bytes of some files, one after another; `before` comes first."""
    digest = hashlib.sha256(before)
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 24):
                digest.update(part)
    return digest.hexdigest()


def tensors_sha256(module: nn.Module) -> str:
    """The sha256 of a module's tensors by name, wherever they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        numbers = tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
        digest.update(name.encode() + numbers.tobytes())
    return digest.hexdigest()
