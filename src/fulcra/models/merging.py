"""An adapter merged into the weights of its base, in memory: nothing is written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fulcra.errors import ModelError
from fulcra.models.adapter import Model, is_plain
from fulcra.models.adapters import ADAPTER, WEIGHTS, Adapter, AdapterSource
from fulcra.models.library import quiet_library, refusing
from fulcra.models.whole import require_finite_weights

if TYPE_CHECKING:
    from peft import PeftModel


def merged(name: str, base: Model, adapter: Adapter) -> Model:
    """The base with an adapter merged into its weights, in place; ModelError where it does not fit.

    Named by the adapter's folder; all else is the base's, and the hash is of both.
    """
    source = AdapterSource(adapter, base.name, base.sha256)
    require_plain(base, f"model {name!r}: cannot be merged into its base")
    with _fitting(name, adapter), quiet_library():
        hf = _with_adapter(name, base, adapter).merge_and_unload(safe_merge=True)
    hf.requires_grad_(True)
    require_finite_weights(name, hf)
    model = Model(adapter.folder.resolve().name, hf, base.tokenizer, base.folder, base.thinking)
    model.gguf, model.adapter = base.gguf, source
    return model


def require_plain(model: Model, what: str) -> None:
    """ModelError where weights are quantized or offloaded; `what` needed them."""
    if not all(is_plain(weight) for weight in model.hf.parameters()):
        raise ModelError(
            f"{what}: weights of {model.name!r} are quantized or offloaded; give the unquantized"
            " model, without bits and on one device"
        )


def require_peft(what: str) -> None:
    """ModelError where peft is not installed; `what` needed it."""
    try:
        import peft  # noqa: F401
    except ImportError:
        raise ModelError(f"{what}: needs peft: pip install 'fulcra[defence]'") from None


@contextmanager
def _fitting(name: str, adapter: Adapter) -> Iterator[None]:
    """A block in which whatever peft raises means that adapter and base do not fit."""
    with refusing(f"model {name!r}: its adapter does not fit its base {adapter.base!r}"):
        yield


def _with_adapter(name: str, base: Model, adapter: Adapter) -> "PeftModel":
    """The base with the adapter beside its weights, every tensor of its file in its place."""
    from peft import LoraConfig, PeftModel, set_peft_model_state_dict
    from safetensors.torch import load_file

    written = json.loads((adapter.folder / ADAPTER).read_text(encoding="utf-8"))
    there = {field.name for field in fields(LoraConfig)}
    if unknown := sorted(key for key in written if key not in there and written[key]):
        raise ModelError(
            f"model {name!r}: its {ADAPTER} has {unknown[0]}, which the installed peft does not"
            " know; update peft"
        )
    config = LoraConfig(**{key: value for key, value in written.items() if key in there})
    peft: Any = PeftModel(base.hf, config)
    report = set_peft_model_state_dict(peft, load_file(adapter.folder / WEIGHTS))
    lacking = [key for key in report.missing_keys if "lora_" in key]
    if odd := sorted([*report.unexpected_keys, *lacking]):
        side = "lacks" if odd[0] in lacking else "holds"
        raise ModelError(
            f"model {name!r}: its adapter does not fit its base {adapter.base!r}: {WEIGHTS}"
            f" {side} {odd[0]}; give the base that it was trained on"
        )
    return peft
