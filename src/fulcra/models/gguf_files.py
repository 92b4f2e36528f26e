"""A GGUF file as a model: where it is, its weights de-quantized, its tokenizer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from fulcra.errors import InputError, ModelError
from fulcra.models.expected import expected_row
from fulcra.models.gguf_config import end_ids, gguf_config, require_model
from fulcra.models.gguf_header import GgufHeader, read_header
from fulcra.models.gguf_tokenizer import TokenizerPlace, gguf_tokenizer
from fulcra.models.hub import hub_file
from fulcra.models.library import quiet_library, refusing
from fulcra.models.whole import (
    PLAIN,
    Source,
    described,
    require_finite_weights,
    require_whole,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SUFFIX = ".gguf"
METADATA = Source("its metadata", "download it again, or convert the model anew")
#: What a file of unquantized weights is loaded in where no dtype is asked for.
OWN_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}
#: Tensors that a model has no parameter for, and that the loader takes care of.
APART = "rope_freqs.weight"


class GgufSource(NamedTuple):
    """The file that a model's weights were de-quantized from, and where its tokenizer was."""

    path: Path
    quantization: str
    kinds: Mapping[str, int]
    tokenizer: TokenizerPlace


class GgufParts(NamedTuple):
    """What a file gives: the library's model and tokenizer, and where both came from."""

    hf: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    source: GgufSource


def gguf_path(name: str, revision: str | None = None) -> Path | None:
    """The file that a model's name stands for; None where it names no single file.

    A path, or a file of the hub as owner/name/file.gguf. ModelError where there is no such file.
    """
    with suppress(OSError, ValueError):
        if Path(name).is_file():
            return Path(name)
    if not name.lower().endswith(SUFFIX):
        return None
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not file or owner in ("", ".", "..", "~"):
        raise ModelError(
            f"model {name!r}: no such file; give the path of a .gguf file, or owner/name/file.gguf"
            " for one of the hub"
        )
    try:
        return hub_file(f"{owner}/{repository}", file, revision)
    except ModelError as error:
        raise ModelError(f"model {name!r}: no such file, and the hub gives none: {error}") from None


def gguf_parts(
    name: str, path: Path, dtype: torch.dtype | str, placed: Mapping[str, object]
) -> GgufParts:
    """Model and tokenizer of a GGUF file, its weights de-quantized, all there and finite.

    `placed` are further options of the library. Every refusal comes before a weight is read.
    """
    header = read_header(name, path)
    require_model(name, header)
    _require_readable(name, header)
    with _read_once():
        config = gguf_config(name, header)
        row = expected_row(config)
        _require_fit(name, config, header)
        tokenizer, place = gguf_tokenizer(name, header)
        hf, lacking = _weights(name, config, header, {**placed, "dtype": _dtype(dtype, header)})
    require_whole(name, lacking, None if row is None else f".{row.layers}.", METADATA)
    with refusing(f"model {name!r}: cannot be loaded: {APART}"):
        _turn(hf, header)
    hf.generation_config.eos_token_id = end_ids(header) or None
    require_finite_weights(name, hf)
    return GgufParts(hf, tokenizer, GgufSource(path, header.quantization, header.kinds, place))


def _dtype(dtype: torch.dtype | str, header: GgufHeader) -> torch.dtype:
    """The dtype to load in: the one asked for, else the file's own, float32 for packed weights."""
    if isinstance(dtype, torch.dtype):
        return dtype
    packed = [kind for kind in header.kinds if kind != "F32"]
    return OWN_DTYPES.get(packed[0], torch.float32) if len(packed) == 1 else torch.float32


def _require_readable(name: str, header: GgufHeader) -> None:
    """ModelError for a quantization that the gguf package cannot undo."""
    from gguf import GGML_QUANT_SIZES, dequantize

    for tensor in {tensor.kind: tensor for tensor in header.tensors}.values():
        size = GGML_QUANT_SIZES[tensor.kind][1]
        try:
            dequantize(np.zeros((1, size), np.uint8), tensor.kind)
        except NotImplementedError:
            raise ModelError(
                f"model {name!r}: cannot be loaded: {tensor.name} is quantized as"
                f" {tensor.kind.name}, which the gguf package does not undo; take another"
                " quantization, such as Q8_0 or Q4_K_M"
            ) from None


def _require_fit(name: str, config: "PreTrainedConfig", header: GgufHeader) -> None:
    """ModelError where the metadata describes far more numbers than the file holds."""
    held = sum(int(np.prod(tensor.shape, dtype=object)) for tensor in header.tensors)
    expected = described(name, config, False, METADATA).size
    if expected > held * PLAIN:
        raise ModelError(
            f"model {name!r}: cannot be loaded: its metadata describes {expected} numbers, it holds"
            f" {held}; {METADATA.advice}"
        )


@contextmanager
def _read_once() -> Iterator[None]:
    """A span in which the library reads each file and each table of names once, without a bar.

    It reads a header for the config and again for the weights, and makes the table of names anew
    for every module: together five times as long as de-quantizing the weights takes.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as library

    def silent(items: object, **_: object) -> object:
        return items

    put = {
        (gguf, "GGUFReader"): cache(gguf.GGUFReader),
        (gguf, "get_tensor_name_map"): cache(gguf.get_tensor_name_map),
        (library, "tqdm"): silent,
    }
    before = {place: getattr(*place) for place in put}
    for (module, attribute), value in put.items():
        setattr(module, attribute, value)
    try:
        yield
    finally:
        for (module, attribute), value in before.items():
            setattr(module, attribute, value)


def _weights(
    name: str, config: "PreTrainedConfig", header: GgufHeader, placed: Mapping[str, object]
) -> "tuple[PreTrainedModel, Any]":
    """The library's model of plain weights, with its report of what it loaded."""
    from transformers import AutoModelForCausalLM, GgufConfig

    place = header.path.absolute()
    with refusing(f"model {name!r}: cannot be loaded"), quiet_library():
        # The whole path: a bare name would first be looked for in the working folder.
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place.parent,
            config=config,
            gguf_file=str(place),
            trust_remote_code=False,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **placed,
        )
        hf: PreTrainedModel = loaded[0]
        _require_every_tensor(name, hf, header)
    if getattr(hf.config, "quantization_config", None) is not None:
        raise ModelError(f"model {name!r}: cannot be loaded: its weights stayed packed")
    return hf, loaded[1]


def _require_every_tensor(name: str, hf: "PreTrainedModel", header: GgufHeader) -> None:
    """ModelError for the first tensor of the file that the library passes over in silence."""
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    if header.architecture in GGUF_CONFIG_ARCHS:
        return  # what no module takes stands in the library's own report
    processor: Any = TENSOR_PROCESSORS.get(header.architecture, TensorProcessor)
    taken = {APART, *get_gguf_hf_weights_map(hf, processor(config={}))}
    for tensor in header.tensors:
        if tensor.name not in taken and tensor.name.rpartition(".")[0] not in taken:
            raise ModelError(
                f"model {name!r}: cannot be loaded: it holds {tensor.name}, which transformers does"
                f" not read into a {hf.config.model_type}; give its folder of safetensors"
            )


def _turn(hf: "PreTrainedModel", header: GgufHeader) -> None:
    """Divide the rotary frequencies by the factors that the file keeps as a tensor (Llama 3)."""
    factors = next((tensor for tensor in header.tensors if tensor.name == APART), None)
    if factors is None:
        return
    count = factors.shape[-1]
    divisor = torch.from_numpy(np.fromfile(header.path, "<f4", count, offset=factors.start))
    for module in hf.modules():
        for field in ("inv_freq", "original_inv_freq"):
            if isinstance(frequencies := getattr(module, field, None), torch.Tensor):
                frequencies.div_(divisor.to(frequencies.device))


def require_no_bits(name: str, bits: int | None) -> None:
    """InputError where weights of a GGUF are to be quantized once more."""
    if bits is not None:
        raise InputError(
            f"model {name!r}: bits {bits}: the weights of a GGUF are de-quantized when they are"
            " loaded; leave out bits"
        )
