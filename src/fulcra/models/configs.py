"""The config.json of a model folder: read as data, its sizes held to sense, then given a class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fulcra.errors import ModelError, first_fault
from fulcra.models.library import refusing

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

#: Bytes of the largest config.json that is read.
LARGEST = 4 << 20
#: Sizes above these are no model's; the library would build lists as long as them.
MOST_LAYERS, MOST = 10_000, 1 << 28

Layers = Annotated[int, Field(ge=1, le=MOST_LAYERS)] | None
Size = Annotated[int, Field(ge=1, le=MOST)] | None


class ConfigFile(BaseModel):
    """The parts of a config.json that decide how much is built, and whose code is run."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())

    model_type: str | None = None
    auto_map: object = None
    attn_implementation: object = None
    num_hidden_layers: Layers = None
    n_layer: Layers = None
    hidden_size: Size = None
    n_embd: Size = None
    intermediate_size: Size = None
    moe_intermediate_size: Size = None
    ffn_dim: Size = None
    n_inner: Size = None
    num_attention_heads: Size = None
    num_key_value_heads: Size = None
    n_head: Size = None
    head_dim: Size = None
    num_experts: Size = None
    num_local_experts: Size = None
    num_experts_per_tok: Size = None
    vocab_size: Size = None
    max_position_embeddings: Size = None
    n_positions: Size = None
    text_config: "ConfigFile | None" = None
    vision_config: "ConfigFile | None" = None


def config_file(name: str, folder: Path) -> ConfigFile:
    """The checked config.json of a folder; ModelError names the first value that is none."""
    path = folder / "config.json"
    unreadable = f"model {name!r}: its config.json cannot be read"
    with refusing(unreadable):
        size = path.stat().st_size
        text = path.read_bytes() if size <= LARGEST else b""
    if size > LARGEST:
        raise ModelError(f"{unreadable}: {size} bytes, expected at most {LARGEST}")
    try:
        return ConfigFile.model_validate_json(text)
    except ValidationError as error:
        fault = first_fault(error)
        place = ".".join(map(str, fault["loc"])) or "the file"
        raise ModelError(
            f"{unreadable}: {place}: {fault['msg']}; correct the file, or give a model folder"
            " as it was published"
        ) from None


def read_config(name: str, folder: Path, trusted: bool = False) -> "PreTrainedConfig":
    """The library's config of a folder; ModelError where it cannot be read or asks to run code."""
    from transformers import AutoConfig

    file = config_file(name, folder)
    if not trusted:
        _refuse_code(name, file)
    with refusing(f"model {name!r}: its config.json cannot be read"):
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    return config


def require_generation_config(name: str, folder: Path) -> None:
    """ModelError where generation_config.json cannot be read; the library would go on without."""
    from transformers import GenerationConfig

    if (folder / "generation_config.json").exists():
        with refusing(f"model {name!r}: its generation_config.json cannot be read"):
            GenerationConfig.from_pretrained(folder)


def _refuse_code(name: str, file: ConfigFile) -> None:
    """ModelError where the library could load the model only by running code that came with it."""
    from transformers import CONFIG_MAPPING

    kernel = isinstance(file.attn_implementation, str) and "/" in file.attn_implementation
    if kernel or (file.auto_map is not None and file.model_type not in CONFIG_MAPPING):
        key = f"attn_implementation {file.attn_implementation}" if kernel else "auto_map"
        raise ModelError(
            f"model {name!r}: its config.json ({key}) asks to run code that came with the model;"
            " fulcra never does so by itself: give a model of a family that `fulcra families`"
            " lists, or read the code and load with trust_remote_code=True (--trust-remote-code)"
        )
