"""Weights and config of one model: every weight there, of the config's shape, and finite."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import torch

from fulcra.errors import ModelError
from fulcra.models.adapter import is_plain
from fulcra.models.headers import StoredTensor, stored_tensors
from fulcra.models.library import quiet_library, refusing

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

#: A model may be this many times as large as its files: packed weights hold several a number.
PACKED, PLAIN = 16, 2


class Source(NamedTuple):
    """What describes a model beside its weights, and what to do where the two do not agree."""

    config: str
    advice: str


FOLDER = Source("config.json", "give the config.json and the weights of one model")


class Expected(NamedTuple):
    """What a config describes: the shape of every weight by its name, and how many there are."""

    shapes: dict[str, tuple[int, ...]]
    size: int
    prefix: str


class LoadingReport(TypedDict):
    """What the library says after loading; a mismatched key comes with the file's shape first."""

    missing_keys: set[str]
    unexpected_keys: set[str]
    mismatched_keys: set[tuple[str, tuple[int, ...], tuple[int, ...]]]
    error_msgs: list[str]


def require_fit(
    name: str,
    folder: Path,
    config: "PreTrainedConfig",
    trusted: bool = False,
    classifies: bool = False,
) -> None:
    """ModelError where the weights of a folder are not of the config's shapes.

    From the headers of the files and a model on the meta device: nothing large is allocated.
    """
    stored = stored_tensors(name, folder)
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(layers, int) and layers > len(stored):
        raise ModelError(
            f"model {name!r}: cannot be loaded: config.json says {layers} layers, the weights are"
            f" {len(stored)} tensors; {FOLDER.advice}"
        )
    expected = described(name, config, trusted, classifies=classifies)
    packed = getattr(config, "quantization_config", None) is not None
    if not packed:
        _require_shapes(name, expected, stored)
    size = sum(tensor.size for tensor in stored.values())
    if expected.size > size * (PACKED if packed else PLAIN):
        raise ModelError(
            f"model {name!r}: cannot be loaded: config.json describes {expected.size} numbers, the"
            f" weights are {size}; {FOLDER.advice}"
        )


def described(
    name: str,
    config: "PreTrainedConfig",
    trusted: bool,
    source: Source = FOLDER,
    classifies: bool = False,
) -> Expected:
    """What a config describes, from a model on the meta device; ModelError where it is no model."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind: Any = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    place = source.config.removeprefix("its ")
    what = f"model {name!r}: cannot be loaded: its {place} describes no model"
    with refusing(what), quiet_library(), torch.device("meta"):
        hf: PreTrainedModel = kind.from_config(config, trust_remote_code=trusted)
    # state_dict() names a tied weight twice, parameters() counts it once
    shapes = {key: tuple(weight.shape) for key, weight in hf.state_dict().items()}
    return Expected(shapes, sum(p.numel() for p in hf.parameters()), f"{hf.base_model_prefix}.")


def _require_shapes(name: str, expected: Expected, stored: Mapping[str, StoredTensor]) -> None:
    """ModelError for the first weight with another number of elements than the config says.

    Weights that the library renames or fuses while it loads are left to its own report.
    """
    for key, shape in expected.shapes.items():
        tensor = stored.get(key) or stored.get(key.removeprefix(expected.prefix))
        if tensor is not None and tensor.size != torch.Size(shape).numel():
            raise _other_shape(name, key, f"{tensor.shape} in {tensor.file}", shape)


def _other_shape(
    name: str, key: str, stored: str, shape: tuple[int, ...], source: Source = FOLDER
) -> ModelError:
    return ModelError(
        f"model {name!r}: cannot be loaded: {key} is {stored}, {shape} by {source.config};"
        f" {source.advice}"
    )


def require_whole(
    name: str, report: LoadingReport, layers: str | None = None, source: Source = FOLDER
) -> None:
    """ModelError for the first weight that the library's own loading report complains about.

    Missing weights would be random ones and are never accepted; tied ones are not missing. Weights
    under `layers` that no module takes mean that the config describes another model.
    """
    for key, stored, shape in sorted(report["mismatched_keys"]):
        raise _other_shape(name, key, f"{tuple(stored)} in the weights", tuple(shape), source)
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"model {name!r}: cannot be loaded: the weights lack {missing[0]}"
            f"{_and_more(missing)}, which would be random; {source.advice}"
        )
    extra = [key for key in sorted(report["unexpected_keys"]) if layers and layers in f".{key}"]
    if extra:
        raise ModelError(
            f"model {name!r}: cannot be loaded: the weights hold {extra[0]}{_and_more(extra)},"
            f" which a model of this {source.config.removeprefix('its ')} has not; {source.advice}"
        )
    if errors := report["error_msgs"]:
        raise ModelError(f"model {name!r}: cannot be loaded: {' '.join(errors[0].split())}")


def _and_more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def require_finite_weights(name: str, hf: "PreTrainedModel") -> None:
    """ModelError for the first weight with a number that is nan or infinite.

    One pass over the weights at hand; quantized and offloaded ones are left out.
    """
    for key, weight in hf.named_parameters():
        if not is_plain(weight) or not weight.numel():
            continue
        values = weight.detach() if weight.element_size() > 1 else weight.detach().float()
        low, high = (float(value) for value in values.aminmax())
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            broken = int((~values.isfinite()).sum())
            raise ModelError(
                f"model {name!r}: cannot be loaded: {key} holds {broken} of {weight.numel()}"
                " numbers that are nan or infinite; copy the weights again, or load another dtype"
            )
