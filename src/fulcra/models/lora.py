"""An adapter (LoRA) in training on a model, which has its own modules again afterwards."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from torch import Tensor, nn

from fulcra.errors import ModelError
from fulcra.models.adapter import Model
from fulcra.models.library import quiet_library, refusing
from fulcra.models.merging import require_peft, require_plain

if TYPE_CHECKING:
    from peft import PeftModel

NAME = "default"


class Factors(NamedTuple):
    """What an adapter of rank 1 adds to a weight [out, in]: write [out] times read [in].

    A weight that is stored the other way round (GPT-2's) gets the same, turned.
    """

    write: Tensor
    read: Tensor

    @property
    def norm(self) -> float:
        """The Frobenius norm of the product."""
        return float(self.write.float().norm() * self.read.float().norm())


@final
class Lora:
    """The adapter of a model while it is trained; the base's weights never change.

    While it is there, `model.hf` runs with it.
    """

    def __init__(self, model: Model, peft: "PeftModel") -> None:
        self.model, self._peft = model, peft
        self.layers: dict[str, Any] = {
            name: module for name, module in model.hf.named_modules() if hasattr(module, "lora_A")
        }

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weights that are trained, all of the adapter."""
        return [weight for weight in self.model.hf.parameters() if weight.requires_grad]

    def put(self, factors: Mapping[str, Factors]) -> None:
        """Set what is added to each module's weight, by the module's name."""
        with torch.no_grad():
            for name, each in factors.items():
                write, read = self.sides(name)
                write.copy_(each.write[:, None])
                read.copy_(each.read[None])

    def factors(self) -> dict[str, Factors]:
        """What is added to each module's weight, by the module's name; of rank 1."""
        sides = {name: self.sides(name) for name in self.layers}
        return {
            name: Factors(write.detach()[:, 0].clone(), read.detach()[0].clone())
            for name, (write, read) in sides.items()
        }

    def sides(self, name: str) -> tuple[nn.Parameter, nn.Parameter]:
        """The weights of a module's adapter: its write [out, rank] and its read [rank, in]."""
        layer = self.layers[name]
        return layer.lora_B[NAME].weight, layer.lora_A[NAME].weight

    @contextmanager
    def absent(self) -> Iterator[None]:
        """A block in which the model is its base."""
        with self._peft.disable_adapter():
            yield

    @contextmanager
    def merged(self) -> Iterator[None]:
        """A block in which the model is a plain one again, the adapter in its own weights."""
        before: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            weight = layer.get_base_layer().weight
            before[name] = weight.data
            weight.data = weight.data + layer.get_delta_weight(NAME).detach().to(weight.dtype)
            _put(self.model.hf, name, layer.get_base_layer())
        try:
            yield
        finally:
            for name, layer in self.layers.items():
                layer.get_base_layer().weight.data = before[name]
                _put(self.model.hf, name, layer)

    def save(self, folder: Path) -> None:
        """Write the adapter into a folder, which names the base by what it was loaded by."""
        config = self._peft.peft_config[NAME]
        config.base_model_name_or_path = self.model.origin.name
        config.revision = self.model.origin.revision
        with quiet_library():
            self._peft.save_pretrained(str(folder), save_embedding_layers=False)
        # the library's card says what it knows nothing of
        (folder / "README.md").unlink(missing_ok=True)


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    """The module in the place of that name."""
    parent, _, last = name.rpartition(".")
    setattr(root.get_submodule(parent), last, module)


def named(modules: Sequence[str]) -> str:
    """What `adapted` takes as the targets of these modules alone."""
    return "|".join(map(re.escape, modules))


def require_adaptable(model: Model) -> None:
    """ModelError where no adapter of a model can be written: it is one, or none can lie on it."""
    if model.adapter is not None:
        raise ModelError(f"{_refusal(model)}: it is an adapter already; give the model it lies on")
    _require_linear(model)


def _refusal(model: Model) -> str:
    return f"model {model.name!r}: cannot be trained"


def _require_linear(model: Model) -> str:
    """The beginning of a refusal of this model; ModelError where no adapter can lie on it."""
    what = _refusal(model)
    require_peft(what)
    if model.n_experts:
        raise ModelError(f"{what}: its experts are no linear layers; give a model without experts")
    require_plain(model, what)
    return what


@contextmanager
def adapted(model: Model, rank: int, seed: int, targets: str = "all-linear") -> Iterator[Lora]:
    """A block in which the model has a new adapter, drawn by `seed`, that changes nothing yet.

    ModelError where the base cannot be trained: packed weights, or a mixture's fused experts. A
    model with an adapter merged into it can, but what is trained must not be saved then.
    """
    what = _require_linear(model)
    from peft import LoraConfig, PeftModel

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
    before = [weight.requires_grad for weight in model.hf.parameters()]
    own = list(model.hf.parameters())
    with refusing(what), quiet_library(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft = PeftModel(model.hf, config)
    lora = Lora(model, peft)
    for layer in lora.layers.values():
        if hasattr(layer.get_base_layer(), "nx"):
            layer.nx = layer.get_base_layer().nx  # the width of GPT-2's own kind of layer
    try:
        yield lora
    finally:
        for name, layer in lora.layers.items():
            _put(model.hf, name, layer.get_base_layer())
        vars(model.hf).pop("peft_config", None)
        for weight, learned in zip(own, before, strict=True):
            weight.requires_grad_(learned)
