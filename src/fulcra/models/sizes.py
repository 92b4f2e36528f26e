"""What a model of a config holds, without its weights: numbers, neurons, keys and values."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fulcra.errors import ModelError
from fulcra.models.configs import read_config
from fulcra.models.library import refusing
from fulcra.models.loading import config_of
from fulcra.models.whole import described

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class ModelSizes(NamedTuple):
    """Sizes of a model: numbers, not bytes.

    active: the parameters that one token meets, fewer in a mixture. cache: the keys and values of
    one token in all layers, as if every layer read all of them. heads: of keys and values, which
    tensor parallelism shares out.
    """

    name: str
    parameters: int
    active: int
    layers: int
    d_model: int
    cache: int
    heads: int
    experts: int


def shape_names() -> tuple[str, ...]:
    """The shapes that need no config file."""
    return tuple(_DENSE) + tuple(_MIXTURES)


#: Layers, d_model, d_mlp, heads, heads of keys and values, vocabulary of the Llama 3.1 models.
_DENSE = {
    "8b": (32, 4096, 14336, 32, 8, 128256),
    "70b": (80, 8192, 28672, 64, 8, 128256),
    "405b": (126, 16384, 53248, 128, 8, 128256),
}
#: The same of mixtures, each with 8 experts of which a token meets 2: Mixtral 8x7B and 8x22B.
_MIXTURES = {
    "8x7b": (32, 4096, 14336, 32, 8, 32000),
    "8x22b": (56, 6144, 16384, 48, 8, 32768),
}
_KEYS = (
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)


def shape_config(name: str) -> "PreTrainedConfig":
    """The config of a named shape; ModelError lists those there are."""
    from transformers import LlamaConfig, MixtralConfig

    for kind, table in ((LlamaConfig, _DENSE), (MixtralConfig, _MIXTURES)):
        if name in table:
            sizes = dict(zip(_KEYS, table[name], strict=True))
            config: PreTrainedConfig = kind.from_dict({**sizes, "tie_word_embeddings": False})
            return config
    raise ModelError(f"--shape {name!r}: not in the table; it has {', '.join(shape_names())}")


def file_config(name: str) -> "PreTrainedConfig":
    """The config of a config.json, a model folder, a GGUF's header, a bundled name or a hub id."""
    path = Path(name)
    if path.name == "config.json" and path.is_file():
        return read_config(name, path.parent)
    return config_of(name)


#: What the names of classes that generate text have in them; a config need not name any.
GENERATING = ("CausalLM", "LMHead", "ConditionalGeneration")


def sizes_of(name: str, config: "PreTrainedConfig") -> ModelSizes:
    """The sizes of a config's model, counted on the library's own without any weight.

    ModelError where the library makes no model of it, or the config is of one that writes no text.
    """
    named = config.architectures or ()
    if named and not any(part in each for each in named for part in GENERATING):
        raise ModelError(
            f"model {name!r}: its config is of a {named[0]}, which generates no text; give a causal"
            " language model"
        )
    text = config.get_text_config()
    expected = described(name, config, False)
    experts = int(
        getattr(text, "num_local_experts", 0)
        or getattr(text, "num_experts", 0)
        or getattr(text, "n_routed_experts", 0)
        or 0
    )
    routed = sum(prod(shape) for key, shape in expected.shapes.items() if ".experts." in key)
    met = int(getattr(text, "num_experts_per_tok", 0) or 0)
    unmet = routed * (experts - met) // experts if experts and met else 0
    with refusing(f"model {name!r}: its config says no sizes of attention"):
        queries = int(text.num_attention_heads)
        heads = int(getattr(text, "num_key_value_heads", None) or queries)
        width = int(getattr(text, "head_dim", None) or text.hidden_size // queries)
        layers, d_model = int(text.num_hidden_layers), int(text.hidden_size)
    return ModelSizes(
        name=name,
        parameters=expected.size,
        active=expected.size - unmet,
        layers=layers,
        d_model=d_model,
        cache=2 * layers * heads * width,
        heads=heads,
        experts=experts if routed else 0,
    )
