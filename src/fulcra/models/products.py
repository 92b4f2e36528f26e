"""The matrix products of a loaded model: oneDNN's on AMD processors, where torch takes MKL's.

MKL leaves half of an AMD processor's vector width unused; the two differ by rounding alone.
"""

from functools import cache
from mmap import mmap
from pathlib import Path

import torch
from torch import Tensor, nn

CPUINFO = Path("/proc/cpuinfo")
#: Bytes that must be free for a new product beside its weight, copied once: never touched.
SPARE = 16 << 20
#: Half as many shapes as oneDNN's own cache of programs holds.
HELD = 512
_SHAPES: set[tuple[int, ...]] = set()


class OneDnnLinear(nn.Linear):
    """A linear layer that takes oneDNN's product in float32, and torch's own in all other cases."""

    def forward(self, input: Tensor) -> Tensor:
        """input [..., in_features] times the weight, [..., out_features]."""
        plain = input.device.type == "cpu" and input.dtype == self.weight.dtype == torch.float32
        # nothing to multiply, and what must be differentiable or traced, is left to torch
        if (
            not plain
            or not input.numel()
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()
        ):
            return super().forward(input)
        if not _has_room(input.numel() // self.in_features, self.weight):
            return super().forward(input)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            input, self.weight, self.bias, "none", [], ""
        )
        return product


def _has_room(rows: int, weight: Tensor) -> bool:
    """Whether a product of a new shape would find memory.

    oneDNN writes a program for each shape, and where it cannot the process may be gone.
    """
    shape = (rows, *weight.shape)
    if shape in _SHAPES:
        return True
    try:
        mmap(-1, SPARE + 2 * weight.nbytes).close()
    except OSError:
        return False
    if len(_SHAPES) >= HELD:
        _SHAPES.clear()
    _SHAPES.add(shape)
    return True


@cache
def onednn_is_faster() -> bool:
    """Whether this is an AMD processor with AVX-512, and torch has both libraries."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not CPUINFO.is_file():
        return False
    return "AuthenticAMD" in CPUINFO.read_text() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def with_fast_products(hf: nn.Module) -> None:
    """Lets the plain float32 linear layers of a model on the CPU multiply by oneDNN, in place.

    Weights, parameters' names and module tree stay; nothing happens where torch is as fast.
    """
    if not onednn_is_faster():
        return
    for module in hf.modules():
        # subclasses have products of their own (quantized, low rank)
        if type(module) is nn.Linear and module.weight.dtype == torch.float32:
            module.__class__ = OneDnnLinear
