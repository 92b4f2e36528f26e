"""Folders that hold an adapter (PEFT): what it says of its base, read before anything is loaded."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fulcra.documents import read_text
from fulcra.errors import ModelError, first_fault
from fulcra.models.digests import files_sha256
from fulcra.models.library import refusing

#: What the library looks for beside a model, and then loads a base from wherever this file says.
ADAPTER = "adapter_config.json"
#: Tensors are read from this file alone: the other format runs code.
WEIGHTS = "adapter_model.safetensors"
#: Ways to begin that leave the base as it is; all others change its weights before training.
PLAIN_BEGINNINGS = (None, True, False, "gaussian", "orthogonal")
#: What makes a LoRA more than weights that are added.
UNMERGED = ("layer_replication", "megatron_config", "alora_invocation_tokens", "arrow_config")
#: Where the base lies is no part of what an adapter is.
PLACES = ("base_model_name_or_path", "revision")


class AdapterConfig(BaseModel):
    """The parts of an adapter_config.json that say into what, and whether, it can be merged."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    peft_type: str
    base_model_name_or_path: str = Field(min_length=1)
    revision: str | None = None
    r: int = Field(default=8, ge=1)
    init_lora_weights: bool | str | None = None
    layer_replication: object = None
    megatron_config: object = None
    alora_invocation_tokens: object = None
    arrow_config: object = None

    @property
    def kind(self) -> str | None:
        """What it is where merging would not give what was trained; None for a plain LoRA."""
        special = (
            "layer_replication",
            "megatron_config",
            "alora_invocation_tokens",
            "arrow_config",
        )
        more = next((field for field in special if getattr(self, field)), None)
        if self.peft_type == "LORA":
            return None if more is None else f"a LORA with {more}"
        return self.peft_type


class Adapter(NamedTuple):
    """An adapter on the disk: its folder, the name of its base, its rank and digest.

    `sha256` is of its tensors and config, wherever its base lies.
    """

    folder: Path
    base: str
    revision: str | None
    rank: int
    sha256: str


class AdapterSource(NamedTuple):
    """What was merged into the weights of a model, and the hash of the weights before."""

    adapter: Adapter
    base_name: str
    base_sha256: str

    @property
    def sha256(self) -> str:
        """The hash of the merged weights: of the base's and the adapter's."""
        return hashlib.sha256(f"{self.base_sha256} {self.adapter.sha256}".encode()).hexdigest()


def adapter_at(name: str) -> Adapter | None:
    """The adapter of a folder by this name; None for anything else.

    ModelError where it is none that can be merged, or lies on another adapter.
    """
    folder = Path(name)
    if not (folder / ADAPTER).is_file() or (folder / "config.json").exists():
        return None
    broken = f"model {name!r}: its {ADAPTER} cannot be read"
    with refusing(broken):
        text = read_text(folder / ADAPTER)
    try:
        config = AdapterConfig.model_validate_json(text)
    except ValidationError as error:
        fault = first_fault(error)
        place = ".".join(map(str, fault["loc"])) or "the file"
        raise ModelError(f"{broken}: {place}: {fault['msg']}; save the adapter again") from None
    _require_mergeable(name, folder, config)
    base = config.base_model_name_or_path
    if (Path(base) / ADAPTER).exists():
        raise ModelError(
            f"model {name!r}: its base {base!r} is an adapter itself; merge that one into its model"
            " first (merge_and_unload, then save_pretrained)"
        )
    return Adapter(folder, base, config.revision, config.r, _sha256(folder, text))


def _require_mergeable(name: str, folder: Path, config: AdapterConfig) -> None:
    """ModelError for an adapter that is no plain LoRA, or whose tensors are not there."""
    if config.kind is not None:
        raise ModelError(
            f"model {name!r}: its {ADAPTER} is {config.kind}, expected a plain LORA; merge it with"
            " peft and give the merged folder"
        )
    if config.init_lora_weights not in PLAIN_BEGINNINGS:
        raise ModelError(
            f"model {name!r}: its {ADAPTER} begins from changed base weights (init_lora_weights"
            f" {config.init_lora_weights}); convert it to a plain LoRA with peft, or give the"
            " merged folder"
        )
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"model {name!r}: the folder holds {ADAPTER} but no {WEIGHTS}; save the adapter as"
            " safetensors (save_pretrained does)"
        )


def _sha256(folder: Path, config: str) -> str:
    """The hash of an adapter: of its config without the base's place, and of its tensors."""
    own = {key: value for key, value in json.loads(config).items() if key not in PLACES}
    if isinstance(modules := own.get("target_modules"), list):
        own["target_modules"] = sorted(modules)  # written in an order that means nothing
    return files_sha256([folder / WEIGHTS], json.dumps(own, sort_keys=True).encode())


def require_no_adapter(name: str, folder: Path) -> None:
    """ModelError where a folder holds an adapter beside or in place of a model."""
    if (folder / ADAPTER).exists():
        raise adapter_refused(name)


def adapter_refused(name: str) -> ModelError:
    """The refusal of a model that is an adapter on another, and no folder that holds it alone."""
    return ModelError(
        f"model {name!r}: holds {ADAPTER}, an adapter on a model that lies elsewhere; merge them"
        " (merge_and_unload, then save_pretrained) and give the merged folder"
    )
