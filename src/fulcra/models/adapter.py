"""A loaded language model seen through its family's row: layers, neurons, writes, prompts."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from fulcra.errors import InputError, ModelError
from fulcra.models.families import FAMILIES, Family
from fulcra.types import Neuron

# Loading is shown by our own bars, and problems are raised as errors.
transformers_logging.disable_progress_bar()

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@final
class Model:
    """A causal language model with its tokenizer and family row; `hf` is the transformers model, never changed by fulcra."""

    def __init__(self, name: str, hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path | None = None) -> None:
        self.name, self.hf, self.tokenizer, self.folder = name, hf.eval(), tokenizer, folder
        self.family = family_of(hf.config.model_type)
        text = hf.config.get_text_config()
        self.n_layers = int(text.num_hidden_layers)
        self.d_model = int(text.hidden_size)
        self.vocab = int(text.vocab_size)
        self.context = int(getattr(text, "max_position_embeddings", 0)) or 1 << 20

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, d_mlp {self.d_mlp})"

    @property
    def device(self) -> torch.device:
        """The device of the input embedding."""
        return self.hf.get_input_embeddings().weight.device  # type: ignore[union-attr]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.hf.dtype

    @cached_property
    def blocks(self) -> tuple[nn.Module, ...]:
        """The decoder blocks, in order."""
        return tuple(self.hf.get_submodule(self.family.layers))  # type: ignore[arg-type]

    def down(self, layer: int) -> nn.Module:
        """The down projection of `layer`; its input holds the neurons, its output is no neuron."""
        return self.blocks[layer].get_submodule(self.family.down)

    @cached_property
    def d_mlp(self) -> int:
        """Neurons a layer."""
        shape = self.down(0).weight.shape
        return int(shape[0] if self.family.transposed else shape[1])

    def writes(self, layer: int) -> Tensor:
        """Write directions of all neurons of `layer`, [d_mlp, d_model], float32."""
        weight = self.down(layer).weight.detach().float()
        return weight if self.family.transposed else weight.T

    def write(self, neuron: Neuron) -> Tensor:
        """Write direction v of one neuron, [d_model], float32, not signed by its pole."""
        self.require(neuron)
        weight = self.down(neuron.layer).weight.detach()
        return (weight[neuron.index] if self.family.transposed else weight[:, neuron.index]).float()

    def require(self, neuron: Neuron) -> None:
        """InputError unless the model has this neuron."""
        if neuron.layer >= self.n_layers or neuron.index >= self.d_mlp:
            raise InputError(f"neuron {neuron}: {self.name} has layers 0-{self.n_layers - 1} and neurons 0-{self.d_mlp - 1} a layer")

    def prompt_ids(self, text: str, system: str | None = None, chat: bool = True) -> tuple[int, ...]:
        """Token ids of one user turn with the generation prompt; plain text where there is no chat template."""
        if not chat or self.tokenizer.chat_template is None:
            return tuple(self.tokenizer(text if system is None else f"{system}\n{text}")["input_ids"])  # type: ignore[arg-type]
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": text})
        ids: Any = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
        return tuple(ids["input_ids"])

    def reply_ids(self, text: str) -> tuple[int, ...]:
        """Token ids of reply words, without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]

    def words(self, tokens: Sequence[int]) -> str:
        """The text of generated token ids."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    @property
    def end_ids(self) -> frozenset[int]:
        """The token ids that end a reply."""
        found = self.hf.generation_config.eos_token_id if self.hf.generation_config is not None else None
        found = self.tokenizer.eos_token_id if found is None else found
        return frozenset(found if isinstance(found, list) else [] if found is None else [int(found)])

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights: of the safetensors files where the model came from a folder, else of its tensors."""
        digest = hashlib.sha256()
        if self.folder is not None:
            for path in sorted(self.folder.glob("*.safetensors")):
                digest.update(path.read_bytes())
            return digest.hexdigest()
        for name, tensor in sorted(self.hf.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """transformers' own `generate`."""
        return self.hf.generate(*args, **kwargs)  # type: ignore[operator]


def family_of(model_type: str) -> Family:
    """The row of a model type; ModelError names the families there are."""
    try:
        return FAMILIES[model_type]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"model type {model_type!r} has no row in fulcra.models.families (known: {known}); add one and run `fulcra check`") from None


def bundled_names() -> tuple[str, ...]:
    """The organisms shipped with fulcra."""
    weights = files("fulcra.organisms") / "weights"
    return tuple(sorted(entry.name for entry in weights.iterdir())) if weights.is_dir() else ()


def _folder(name: str) -> Path:
    if name in bundled_names():
        return Path(str(files("fulcra.organisms") / "weights" / name))
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(f"model {name!r}: the folder holds no config.json; give a Hugging Face model folder")
        return Path(name)
    try:
        return Path(str(cached_file(name, "config.json"))).parent
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"model {name!r}: no bundled organism ({', '.join(bundled_names())}), no folder, and not on the hub: {reason}") from None


def load(name: str, dtype: str | None = None, device: str = "cpu") -> Model:
    """The model of a bundled name, a folder or a hub id, from safetensors only.

    dtype: float32, bfloat16 or float16; by default float32 on the CPU and the checkpoint's own elsewhere.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    folder = _folder(name)
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"model {name!r}: its config.json cannot be read: {str(error).splitlines()[0]}") from None
    family_of(config.model_type)
    wanted = DTYPES[dtype] if dtype else torch.float32 if device == "cpu" else "auto"
    source = folder if any(folder.glob("*.safetensors")) else name
    if source is folder or not Path(name).is_dir():
        return _read(name, source, wanted, device)
    found = ", ".join(sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".gguf", ".h5"))) or "no weights"
    raise ModelError(f"model {name!r}: found {found}, expected *.safetensors; convert the weights (save_pretrained writes safetensors)")


def _read(name: str, source: Path | str, dtype: torch.dtype | str, device: str) -> Model:
    try:
        hf = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name!r}: cannot be loaded: {str(error).splitlines()[0]}") from None
    return Model(name if name in bundled_names() else Path(name).name if Path(name).is_dir() else name, hf.to(device), tokenizer, source if isinstance(source, Path) else None)
