"""A loaded language model seen through its family's row: layers, neurons, writes, prompts."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor, nn

from fulcra.errors import InputError, ModelError
from fulcra.models.adapters import AdapterSource
from fulcra.models.chat import chat_ids, exchange_ids, instruction_tail, plain_ids, shared_start
from fulcra.models.digests import files_sha256, tensors_sha256
from fulcra.models.experts import expert_width, expert_write, expert_writes, n_experts
from fulcra.models.families import FAMILIES, Family, no_row
from fulcra.models.inference import in_words, inferred_row
from fulcra.models.origin import Origin
from fulcra.models.placement import at_hand
from fulcra.types import Neuron

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from fulcra.engines.engine import Engine
    from fulcra.models.gguf_files import GgufSource

#: What a tokenizer prints for bytes that are no whole character yet.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@final
class Model:
    """A causal language model with its tokenizer and family row.

    `hf` is the transformers model; no weight changes. `thinking` is handed to chat templates, None
    leaves it to them. `inferred` is the row in words where the model's type has none of its own.
    `engine` runs its rollouts, this process where None.
    """

    def __init__(
        self,
        name: str,
        hf: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        folder: Path | None = None,
        thinking: bool | None = None,
    ) -> None:
        self.name, self.hf, self.tokenizer = name, hf.eval(), tokenizer
        self.folder, self.thinking = folder, thinking
        self.origin, self.gguf = Origin(name), cast("GgufSource | None", None)
        self.adapter: AdapterSource | None = None
        self.engine: Engine | None = None
        self.config = hf.config.get_text_config()
        self.inferred: str | None = None
        if hf.config.model_type in FAMILIES:
            self.family = family_of(hf.config.model_type)
        else:
            self.family = inferred_row(hf)
            self.inferred = in_words(self.family)
        require_config(name, self.family, self.config)
        self.n_layers = int(self.config.num_hidden_layers)
        self.d_model = int(self.config.hidden_size)
        self.vocab = int(self.config.vocab_size)
        self.context = int(getattr(self.config, "max_position_embeddings", 0)) or 1 << 20

    def __repr__(self) -> str:
        return (
            f"Model({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, d_mlp"
            f" {self.d_mlp})"
        )

    @property
    def device(self) -> torch.device:
        """The device that token ids go to: where the input embedding runs."""
        return device_of(self.hf.get_input_embeddings())

    def device_at(self, layer: int) -> torch.device:
        """The device on which a block runs."""
        return device_of(self.down(layer) if self.experts(layer) is None else self.experts(layer))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        dtype: torch.dtype = self.hf.dtype
        return dtype

    @cached_property
    def blocks(self) -> tuple[nn.Module, ...]:
        """The decoder blocks, in order."""
        return tuple(self.module(self.hf, self.family.layers, "layers"))  # type: ignore[arg-type]

    def module(self, root: nn.Module, path: str, field: str) -> nn.Module:
        """The submodule that a field of the family row names.

        ModelError lists what there is instead.
        """
        try:
            return root.get_submodule(path)
        except AttributeError:
            there = (
                ", ".join(name for name, _ in root.named_modules() if name and name.count(".") < 2)
                or "nothing"
            )
            raise ModelError(
                f"model {self.name!r}: {type(root).__name__} has no {path!r} (`{field}` of the"
                f" {self.hf.config.model_type} row in fulcra.models.families); it has {there};"
                " correct the row and run `fulcra check`"
            ) from None

    def down(self, layer: int) -> nn.Module:
        """The down projection of `layer`; its input holds the neurons, its output is no neuron."""
        return self.module(self.blocks[layer], self.family.down, "down")

    @cached_property
    def _experts(self) -> tuple[Any | None, ...]:
        path = self.family.experts
        return tuple(
            dict(block.named_modules()).get(path) if path else None for block in self.blocks
        )

    def experts(self, layer: int) -> Any | None:
        """The fused experts of `layer`; None where it has one MLP for every token."""
        return self._experts[layer]

    def place(self, layer: int) -> str:
        """The full name of the module that holds the neurons of `layer`, for messages."""
        mixture = self.experts(layer) is not None
        place = self.family.experts if mixture else self.family.down
        return f"{self.family.layers}.{layer}.{place}"

    def post_norm(self, layer: int) -> nn.Module | None:
        """The norm between the MLP's output and the stream, in families that have one."""
        path = self.family.post_norm
        return self.module(self.blocks[layer], path, "post_norm") if path else None

    @cached_property
    def n_experts(self) -> int:
        """Experts a layer, 0 without a mixture."""
        return max(
            n_experts(experts) if (experts := self.experts(layer)) else 0
            for layer in range(self.n_layers)
        )

    def width(self, layer: int) -> int:
        """Neurons of `layer`, of all its experts together."""
        experts = self.experts(layer)
        if experts is not None:
            return n_experts(experts) * expert_width(experts)
        down: Any = self.down(layer)
        return int(down.nx if self.family.transposed else down.in_features)

    @cached_property
    def d_mlp(self) -> int:
        """Neurons a layer, of all its experts together; the most where layers differ."""
        return max(self.width(layer) for layer in range(self.n_layers))

    def neuron(self, layer: int, slot: int, pole: int = 1) -> Neuron:
        """The neuron in column `slot` of a layer's activations and writes.

        Experts stand one after another.
        """
        experts = self.experts(layer)
        if experts is None:
            return Neuron(layer, slot, pole)
        return Neuron(layer, slot % expert_width(experts), pole, slot // expert_width(experts))

    def slot(self, neuron: Neuron) -> int:
        """The neuron's column in its layer's activations and writes.

        InputError unless the model has it.
        """
        self.require(neuron)
        return (
            neuron.index
            if neuron.expert is None
            else neuron.expert * expert_width(self.experts(neuron.layer)) + neuron.index
        )

    def writes(self, layer: int) -> Tensor:
        """Write directions of all neurons of `layer`, [neuron, d_model], float32.

        In a mixture without router weights.
        """
        experts = self.experts(layer)
        if experts is not None:
            return expert_writes(experts)
        down: Any = self.down(layer)
        with at_hand(down):
            if not is_plain(down.weight):
                return self._measured_writes(layer, range(self.width(layer)))
            weight: Tensor = down.weight.detach().float()
            return weight if self.family.transposed else weight.T

    def write(self, neuron: Neuron) -> Tensor:
        """Write direction v of one neuron, [d_model], float32, not signed by its pole.

        In a mixture without router weight.
        """
        self.require(neuron)
        if neuron.expert is not None:
            return expert_write(self.experts(neuron.layer), neuron.expert, neuron.index).float()
        down: Any = self.down(neuron.layer)
        with at_hand(down):
            if not is_plain(down.weight):
                return self._measured_writes(neuron.layer, [neuron.index])[0]
            weight: Tensor = down.weight.detach()
            return (
                weight[neuron.index] if self.family.transposed else weight[:, neuron.index]
            ).float()

    @torch.no_grad()
    def _measured_writes(self, layer: int, indices: Sequence[int]) -> Tensor:
        # Quantized weights have no columns to read: what the projection does to one activation is
        # its write.
        down, device = self.down(layer), self.device_at(layer)
        units = torch.zeros(len(indices) + 1, self.width(layer), device=device, dtype=self.dtype)
        units[range(len(indices)), list(indices)] = 1
        out: Tensor = down(units).float()
        return out[:-1] - out[-1]

    def require(self, neuron: Neuron) -> None:
        """InputError unless the model has this neuron."""
        if neuron.layer >= self.n_layers:
            raise InputError(f"neuron {neuron}: {self.name} has layers 0-{self.n_layers - 1}")
        experts = self.experts(neuron.layer)
        if experts is None:
            width = self.width(neuron.layer)
            if neuron.expert is not None:
                raise InputError(
                    f"neuron {neuron}: layer {neuron.layer} of {self.name} has no experts; leave"
                    f" out .E{neuron.expert}"
                )
        else:
            width = expert_width(experts)
            if neuron.expert is None or neuron.expert >= n_experts(experts):
                raise InputError(
                    f"neuron {neuron}: layer {neuron.layer} of {self.name} has experts"
                    f" 0-{n_experts(experts) - 1}; name one, as in"
                    f" L{neuron.layer}.N{neuron.index}.E0"
                )
        if neuron.index >= width:
            raise InputError(
                f"neuron {neuron}: {self.name} has layers 0-{self.n_layers - 1} and neurons"
                f" 0-{width - 1} a layer"
            )

    def unembed(self, stream: Tensor) -> Tensor:
        """Logits [..., vocab] of a stream [..., d_model] at the last block's output."""
        return self.logits(self.module(self.hf, self.family.final_norm, "final_norm")(stream))

    def logits(self, normed: Tensor) -> Tensor:
        """Logits [..., vocab] of what the final norm gives, [..., d_model]."""
        logits: Tensor = self.hf.get_output_embeddings()(normed)
        kind, key = self.family.logits or ("", "")
        number: float | None = getattr(self.config, key, None) if key else None
        if number is None:
            return logits
        return (
            (logits / number).tanh() * number
            if kind == "softcap"
            else logits * number
            if kind == "multiply"
            else logits / number
        )

    def prompt_ids(
        self, text: str, system: str | None = None, chat: bool = True
    ) -> tuple[int, ...]:
        """Token ids of one user turn with the generation prompt.

        Plain text where there is no chat template.
        """
        ids = (
            chat_ids(self.tokenizer, text, system, self.thinking)
            if chat
            else plain_ids(self.tokenizer, text, system)
        )
        if len(ids) >= self.context:
            start = " ".join(text.split()[:8])
            raise InputError(
                f"prompt {start!r}...: {len(ids)} tokens, and {self.name} has a context of"
                f" {self.context}; shorten it"
            )
        return ids

    @cached_property
    def instruction_tail(self) -> tuple[int, ...]:
        """The tokens between the user's words and the reply; none without a template.

        Those that a word shares with them are left out.
        """
        tail, prompt = instruction_tail(self.tokenizer, self.thinking), self.prompt_ids("a")
        return tail[len(tail) - shared_start([prompt[::-1], tail[::-1]]) :]

    def after_instruction(self, ids: Sequence[int]) -> int:
        """How many of the last tokens of a prompt's `ids` come after the user's words.

        1 where there is no chat template.
        """
        return max(1, shared_start([ids[::-1], self.instruction_tail[::-1]]))

    @cached_property
    def text_start(self) -> tuple[int, ...]:
        """The BOS token where the tokenizer puts one before plain text, else nothing."""
        return tuple(
            token
            for token in plain_ids(self.tokenizer, "")[:1]
            if token == self.tokenizer.bos_token_id
        )

    def exchange_ids(self, request: str, reply: str) -> tuple[int, ...]:
        """Token ids of a request and its reply as one conversation, which a guard model goes on."""
        return exchange_ids(self.tokenizer, request, reply)

    def reply_ids(self, text: str) -> tuple[int, ...]:
        """Token ids of reply words, without special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def words(self, tokens: Sequence[int]) -> str:
        """The text of generated token ids."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def pieces(self, tokens: Sequence[int]) -> tuple[str, ...]:
        """The text that each token adds to those before it, special tokens shown.

        Together they are the decoded text.
        """
        texts = [""] + [
            str(self.tokenizer.decode(list(tokens[: i + 1]))) for i in range(len(tokens))
        ]
        # a character spread over several tokens stands with the last of them
        whole = [text.rstrip(REPLACEMENT) for text in texts[:-1]] + texts[-1:]
        return tuple(after[shared_start([before, after]) :] for before, after in pairwise(whole))

    @property
    def end_ids(self) -> frozenset[int]:
        """The token ids that end a reply."""
        config = self.hf.generation_config
        ends = None if config is None else config.eos_token_id
        ends = self.tokenizer.eos_token_id if ends is None else ends
        if ends is None:
            return frozenset()
        return frozenset(ends if isinstance(ends, list) else [int(ends)])

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights: of the files they were read from, else of the tensors.

        With an adapter merged in: of the base's hash and the adapter's.
        """
        if self.adapter is not None:
            return self.adapter.sha256
        if self.folder is None:
            return tensors_sha256(self.hf)
        own = [self.gguf.path] if self.gguf else sorted(self.folder.glob("*.safetensors"))
        return files_sha256(own)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """What transformers' own `generate` returns."""
        return self.hf.generate(*args, **kwargs)


def is_plain(weight: Tensor) -> bool:
    """Whether a weight is an ordinary float tensor at hand, neither quantized nor offloaded."""
    return (
        type(weight) in (Tensor, nn.Parameter) and weight.is_floating_point() and not weight.is_meta
    )


def device_of(module: Any) -> torch.device:
    """The device on which a module runs, also when its weights are kept elsewhere."""
    placed = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return torch.device(placed) if placed is not None else next(module.parameters()).device


def by_row(flat: Tensor, rows: int) -> Tensor:
    """A view [row, pos, ...] of what a module sees, also where a family flattens both axes."""
    return flat.view(rows, -1, flat.shape[-1]) if flat.dim() == 2 else flat


def family_of(model_type: str) -> Family:
    """The row of a model type; ModelError says what a row must name and how to add one."""
    if model_type not in FAMILIES:
        raise ModelError(no_row(model_type))
    return FAMILIES[model_type]


def require_config(name: str, family: Family, config: Any) -> None:
    """ModelError where the config has a value that the family's row does not describe."""
    for key, value in family.requires:
        if (actual := getattr(config, key)) != value:
            raise ModelError(
                f"model {name!r}: {key} is {actual}, the {config.model_type} row describes {value}"
                f" only ({family.note})"
            )
