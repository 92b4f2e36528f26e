"""Float32 matrix products at the processor's full width: MKL keeps to AVX2 on AMD, oneDNN does not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from fulcra.models import Model

#: Below so many rows the call itself costs more than a wider product saves (measured: even at about 32).
ROWS = 64
#: Packed weights are copies; a float32 model on a CPU whose linear weights are larger keeps its own alone.
BYTES = 2 << 30


class _Packed(NamedTuple):
    """A weight in oneDNN's layout, and of which state of the module's weight it is."""

    state: tuple[int, int]
    weight: Tensor


_PACKED: "WeakKeyDictionary[nn.Module, _Packed]" = WeakKeyDictionary()


@cache
def wide_products() -> bool:
    """Whether oneDNN is the wider one: AMD, AVX-512, and a torch that has its linear operator. No clock decides."""
    cpu = Path("/proc/cpuinfo")
    vendor = cpu.read_text() if cpu.is_file() else ""
    capable = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkldnn.is_available()
    return "AuthenticAMD" in vendor and capable and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _packed(module: nn.Linear) -> Tensor:
    state = (module.weight.data_ptr(), module.weight._version)
    held = _PACKED.get(module)
    if held is None or held.state != state:
        held = _PACKED[module] = _Packed(state, torch.ops.mkldnn._reorder_linear_weight(module.weight.detach()))
    return held.weight


def _forward(module: nn.Linear) -> Callable[[Tensor], Tensor]:
    packed, weight, bias = _packed(module), module.weight, module.bias

    def forward(x: Tensor) -> Tensor:
        if x.numel() < ROWS * x.shape[-1]:
            return linear(x, weight, bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
        return out

    return forward


@contextmanager
def wide_linears(model: Model) -> Iterator[None]:
    """The model's float32 linear layers on the wider products inside the block, without gradients; results differ by float noise."""
    some = [m for m in model.hf.modules() if type(m) is nn.Linear and m.weight.dtype == torch.float32 and m.weight.device.type == "cpu"]
    small = sum(m.weight.numel() * 4 for m in some) <= BYTES
    with ExitStack() as stack, torch.no_grad():
        for module in some if small and wide_products() and not any("forward" in vars(m) for m in some) else []:
            vars(module)["forward"] = _forward(module)
            stack.callback(vars(module).__delitem__, "forward")
        yield
