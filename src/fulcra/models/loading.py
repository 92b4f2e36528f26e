"""Loading a model by name, from safetensors only, validated before it is handed out."""

import warnings
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from fulcra.errors import InputError, ModelError
from fulcra.models.adapter import Model
from fulcra.models.adapters import Adapter, adapter_at, adapter_refused, require_no_adapter
from fulcra.models.checks import validated
from fulcra.models.configs import read_config, require_generation_config
from fulcra.models.expected import expected_row
from fulcra.models.gguf_config import gguf_config
from fulcra.models.gguf_files import gguf_parts, gguf_path, require_no_bits
from fulcra.models.gguf_header import read_header
from fulcra.models.headers import has_weights
from fulcra.models.hub import hub_file
from fulcra.models.library import quiet_library, refusing
from fulcra.models.merging import merged, require_peft
from fulcra.models.origin import Origin
from fulcra.models.placement import dtype_of, quantization, require_device
from fulcra.models.products import with_fast_products
from fulcra.models.vocabulary import require_vocabulary
from fulcra.models.whole import require_finite_weights, require_fit, require_whole
from fulcra.organisms.planted import bundled_names, planted_world

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def model_folder(name: str, revision: str | None = None) -> Path:
    """The folder of a bundled name, a folder, a GGUF file or a hub id; ModelError without one.

    That of an adapter is its base's. `revision` is a branch, tag or commit of the hub.
    """
    if name in bundled_names():
        return Path(str(files("fulcra.organisms") / "weights" / name))
    if (adapter := adapter_at(name)) is not None:
        return model_folder(adapter.base, adapter.revision)
    if Path(name).is_dir():
        require_no_adapter(name, Path(name))
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"model {name!r}: the folder holds no config.json; {_advice(name)}")
        return Path(name)
    if (file := _gguf_file(name, revision)) is not None:
        return file.parent
    folder = _hub_folder(name, revision)
    require_no_adapter(name, folder)
    return folder


def _gguf_file(name: str, revision: str | None) -> Path | None:
    return None if name in bundled_names() else gguf_path(name, revision)


def _advice(name: str) -> str:
    """What to give in place of a folder without a config.json."""
    file = min(Path(name).glob("*.gguf"), default=None)
    return "give a Hugging Face model folder" if file is None else f"give the file, {file}"


def _hub_folder(name: str, revision: str | None) -> Path:
    try:
        return hub_file(name, "config.json", revision).parent
    except ModelError as error:
        bundled = ", ".join(bundled_names())
        raise ModelError(
            f"model {name!r}: no bundled organism ({bundled}), no folder, and the hub gives none:"
            f" {error}"
        ) from None


def world_of(name: str) -> str | None:
    """The world that the organism of this name was taught, None for any other model."""
    return planted_world(model_folder(name))


class LoadOptions(TypedDict, total=False):
    """The options of `load` beside name, dtype and device."""

    bits: int | None
    memory: dict[int | str, int | str] | None
    offload_folder: Path | None
    thinking: bool | None
    revision: str | None
    check: bool
    trust_remote_code: bool


def load(
    name: str | Path, dtype: str | None = None, device: str = "cpu", **options: Unpack[LoadOptions]
) -> Model:
    """The model of a bundled name, a folder, a GGUF file or a hub id, validated.

    A folder may hold an adapter (PEFT, LoRA): its base is loaded likewise, and it is merged in.
    law.md sections 1 and 2. From safetensors or a GGUF (a path, or owner/name/file.gguf of the hub;
    de-quantized), every weight there, finite and of the config's shape; no code of a model folder
    is run, and nothing is ever asked. dtype: float32, bfloat16 or float16; by default
    float32 on the CPU and the checkpoint's own elsewhere. device: a torch device, or "auto" for all
    devices there are, then the CPU, then the disk.

    Options:
        bits: 8 or 4 for quantized weights.
        memory, offload_folder: what each device may take, in bytes or as "20GB"; a folder for
            weights that must be written anew for the disk (mixtures).
        thinking: passed to the chat template.
        revision: a branch, tag or commit of the hub.
        check: False skips the validation; never that of a row that had to be inferred.
        trust_remote_code: True runs the code that comes with a model, whatever it does; a warning
            is given, and `Model.origin` remembers it.
    """
    _require_options(options)
    name = str(name)
    if options.get("trust_remote_code", False):
        warnings.warn(f"model {name!r}: the code that comes with it is run", stacklevel=3)
    model = _opened(name, dtype, device, options)
    return _accepted(name, model, options.get("check", True))


def _opened(name: str, dtype: str | None, device: str, options: LoadOptions) -> Model:
    """The model of a name before its checks."""
    if name not in bundled_names() and (adapter := adapter_at(name)) is not None:
        return _merged(name, adapter, dtype, device, options)
    bits, revision = options.get("bits"), options.get("revision")
    file = _gguf_file(name, revision)
    if file is not None:
        require_no_bits(name, bits)
    placed: dict[str, Any] = dict(_placed(dtype, device, options))
    if file is None:
        folder = model_folder(name, revision)
        model = _read(name, folder, placed, options)
        origin = Origin.of(name, folder, device, bits)
    else:
        model = _read_gguf(name, file, placed, options)
        origin = Origin.of_file(name, file, device)
    model.origin = origin._replace(trust_remote_code=options.get("trust_remote_code", False))
    return model


def _merged(
    name: str, adapter: Adapter, dtype: str | None, device: str, options: LoadOptions
) -> Model:
    """The model of an adapter's folder: its base, opened as any model is, with it merged in."""
    require_peft(f"model {name!r}: is an adapter")
    if (bits := options.get("bits")) is not None:
        raise InputError(
            f"model {name!r}: bits {bits}: an adapter is merged into plain weights; leave out bits"
        )
    try:
        base = _opened(adapter.base, dtype, device, {**options, "revision": adapter.revision})
    except ModelError as error:
        raise ModelError(
            f"model {name!r}: its base cannot be loaded ({error}); correct base_model_name_or_path"
            " in its adapter_config.json"
        ) from None
    if (adapter.folder / "tokenizer_config.json").is_file():
        trusted = {"revision": "main", "trust_remote_code": base.origin.trust_remote_code}
        base.tokenizer = _tokenizer(name, str(adapter.folder), trusted)
    model = merged(name, base, adapter)
    require_vocabulary(model)
    model.origin = base.origin._replace(name=str(adapter.folder.resolve()), revision=None)
    return model


def _require_options(options: LoadOptions) -> None:
    if unknown := sorted(set(options).difference(LoadOptions.__annotations__)):
        options_there = ", ".join(sorted(LoadOptions.__annotations__))
        raise InputError(f"load(): no option {unknown[0]!r}; options are {options_there}")


def _placed(dtype: str | None, device: str, options: LoadOptions) -> dict[str, object]:
    """What the library is told of dtype, devices, revision and bits."""
    return {
        "dtype": dtype_of(dtype, device),
        "device_map": require_device(device),
        "max_memory": options.get("memory"),
        "offload_folder": options.get("offload_folder"),
        "revision": options.get("revision") or "main",
        "trust_remote_code": options.get("trust_remote_code", False),
        **quantization(options.get("bits")),
    }


def _accepted(name: str, model: Model, check: bool) -> Model:
    """The model after its checks, which an inferred row is always held to."""
    if check or model.inferred is not None:
        validated(model)
    if model.inferred is not None:
        what = f"{model.hf.config.model_type} has no row of its own, one was inferred and verified"
        warnings.warn(f"model {name!r}: {what}: {model.inferred}", stacklevel=3)
    return model


def config_of(name: str, revision: str | None = None) -> "PreTrainedConfig":
    """The config of a model by name, an adapter's base's; ModelError where it cannot be read."""
    if (adapter := adapter_at(name)) is not None:
        return config_of(adapter.base, adapter.revision)
    if (file := _gguf_file(name, revision)) is not None:
        return gguf_config(name, read_header(name, file))
    return read_config(name, model_folder(name, revision))


def _require_safetensors(name: str, folder: Path) -> None:
    """ModelError for a folder of one's own whose weights lie in no safetensors file."""
    if any(folder.glob("*.safetensors")) or not Path(name).is_dir():
        return
    suffixes = (".bin", ".pt", ".gguf", ".h5")
    others = sorted(path.name for path in folder.iterdir() if path.suffix in suffixes)
    raise ModelError(
        f"model {name!r}: found {', '.join(others) or 'no weights'}, expected *.safetensors;"
        " convert the weights (save_pretrained writes safetensors)"
    )


def _read(name: str, folder: Path, placed: dict[str, Any], options: LoadOptions) -> Model:
    """The model of a folder; config and headers are compared before any weight is read."""
    config = read_config(name, folder, placed["trust_remote_code"])
    row = expected_row(config)
    require_generation_config(name, folder)
    _require_safetensors(name, folder)
    own = name in bundled_names() or Path(name).is_dir()
    if at_hand := own or has_weights(name, folder):
        require_fit(name, folder, config, placed["trust_remote_code"])
    source = str(folder) if at_hand else name
    hf = _weights(name, source, placed, None if row is None else f".{row.layers}.")
    tokenizer = _tokenizer(name, source, placed)
    shown = Path(name).name if own else name
    place = folder if has_weights(name, folder) else None
    return _model(name, shown, hf, tokenizer, place, options)


def _read_gguf(name: str, file: Path, placed: dict[str, Any], options: LoadOptions) -> Model:
    """The model of a GGUF file; its header is looked at before any weight is read."""
    where = {key: placed[key] for key in ("device_map", "max_memory", "offload_folder")}
    parts = gguf_parts(name, file, placed["dtype"], where)
    model = _model(name, file.name, parts.hf, parts.tokenizer, file.parent, options)
    model.gguf = parts.source
    return model


def _model(
    name: str,
    shown: str,
    hf: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path | None,
    options: LoadOptions,
) -> Model:
    """The parts as one model, its tokenizer held against it."""
    with_fast_products(hf)
    with refusing(f"model {name!r}: cannot be loaded: its config"):
        model = Model(shown, hf, tokenizer, folder, options.get("thinking"))
    require_vocabulary(model)
    return model


def _weights(
    name: str, source: str, placed: dict[str, Any], layers: str | None
) -> "PreTrainedModel":
    """The library's model, whole and finite; `layers` is the path of its blocks, where known."""
    from transformers import AutoModelForCausalLM

    with refusing(f"model {name!r}: cannot be loaded"), quiet_library():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **placed,
        )
    hf: PreTrainedModel = loaded[0]
    if getattr(hf, "_hf_peft_config_loaded", False):
        raise adapter_refused(name)
    quantized = getattr(hf.config, "quantization_config", None) is not None
    require_whole(name, loaded[1], None if quantized else layers)
    require_finite_weights(name, hf)
    return hf


def _tokenizer(name: str, source: str, placed: dict[str, Any]) -> "PreTrainedTokenizerBase":
    """The tokenizer beside the weights."""
    from transformers import AutoTokenizer

    with refusing(f"model {name!r}: cannot be loaded: its tokenizer is broken"), quiet_library():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, revision=placed["revision"], trust_remote_code=placed["trust_remote_code"]
        )
    return tokenizer
