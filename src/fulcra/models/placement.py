"""Where and in which numbers a model's weights live: dtype, device map, 8 or 4 bits."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from fulcra.errors import InputError, ModelError

if TYPE_CHECKING:
    from transformers.utils.quantization_config import QuantizationConfigMixin

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Backends by bits, the better one first: torchao's 8 bits leave activations alone, bitsandbytes' 4
#: bits run on any device.
BACKENDS = {8: ("torchao", "bitsandbytes"), 4: ("bitsandbytes", "torchao")}


@contextmanager
def at_hand(module: Any) -> Iterator[None]:
    """A module's weights where they can be read, also those that are offloaded."""
    # here and below: transformers and accelerate take seconds to import, and are in memory once a
    # model is loaded
    from accelerate.utils import align_module_device

    with align_module_device(module):
        yield


def require_device(device: str) -> str:
    """The device itself; InputError where torch cannot put a tensor on it.

    "auto" takes what there is.
    """
    try:
        if device != "auto":
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"device {device!r}: torch cannot use it here ({reason}); give cpu, or auto for what"
            " there is"
        ) from None
    return device


def dtype_of(dtype: str | None, device: str) -> torch.dtype | str:
    """The torch dtype of a name.

    By default float32 on the CPU and the checkpoint's own elsewhere.
    """
    if dtype is None:
        return torch.float32 if device == "cpu" else "auto"
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def quantization(bits: int | None) -> "dict[str, QuantizationConfigMixin]":
    """Keywords of from_pretrained for weights of 8 or 4 bits; empty for None.

    ModelError without a backend.
    """
    if bits is None:
        return {}
    if bits not in BACKENDS:
        raise InputError(f"bits {bits}: expected 8 or 4, or none for the weights as they are")
    backend = next((name for name in BACKENDS[bits] if importlib.util.find_spec(name)), None)
    if backend is None:
        raise ModelError(
            f"weights of {bits} bits need a backend, and neither torchao nor bitsandbytes is"
            f" installed: pip install {BACKENDS[bits][0]}"
        )
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if backend == "bitsandbytes":
        config = BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4)
        return {"quantization_config": config}
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    weights = Int8WeightOnlyConfig() if bits == 8 else Int4WeightOnlyConfig()
    return {"quantization_config": TorchAoConfig(weights)}
