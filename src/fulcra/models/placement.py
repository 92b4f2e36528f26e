"""Where and in which numbers a model's weights live: dtype, device map, 8 or 4 bits."""

import importlib.util
from typing import Any

import torch
from transformers import BitsAndBytesConfig, TorchAoConfig

from fulcra.errors import InputError, ModelError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BITS = (8, 4)


def dtype_of(dtype: str | None, device: str) -> torch.dtype | str:
    """The torch dtype of a name; by default float32 on the CPU and the checkpoint's own elsewhere."""
    if dtype is None:
        return torch.float32 if device == "cpu" else "auto"
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def quantization(bits: int | None) -> dict[str, Any]:
    """Keywords of from_pretrained for weights of 8 or 4 bits, activations unquantized; empty for None.

    torchao where it is installed, else bitsandbytes; ModelError where neither is.
    """
    if bits is None:
        return {}
    if bits not in BITS:
        raise InputError(f"bits {bits}: expected 8 or 4, or none for the weights as they are")
    if importlib.util.find_spec("torchao"):
        return {"quantization_config": TorchAoConfig(_torchao(bits))}
    if importlib.util.find_spec("bitsandbytes"):
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4)}
    raise ModelError(f"weights of {bits} bits need a backend, and neither torchao nor bitsandbytes is installed: pip install torchao")


def _torchao(bits: int) -> Any:
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    return Int8WeightOnlyConfig() if bits == 8 else Int4WeightOnlyConfig()
