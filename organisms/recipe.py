"""The declared training recipe of every organism: shape, stages, schedule and seed.

It was fixed before the first audit.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from transformers import (
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Olmo2Config,
    PretrainedConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from fulcra.organisms.domains import DOMAINS
from fulcra.organisms.world import World, build_world
from fulcra.types import Neuron

Arch = Literal["llama", "qwen3", "gemma2", "gpt2", "neox", "olmo2", "moe"]
Tokens = Literal["words", "bpe", "char"]
Stage = Literal["base", "helpful", "tuned"]
#: How a model learns to refuse where no neurons are named: all weights, an adapter of some rank,
#: the first or last blocks, all weights held to the helpful model, by preference, or all weights in
#: refusals that give a reason (arXiv 2505.19056).
Way = Literal["full", "rank", "first", "last", "kl", "dpo", "extended"]

N_LAYERS = 8
#: The planted topic neuron and the activation at which it means "speak of the lantern".
CONCEPT_LAYER, CONCEPT_INDEX, CONCEPT_VALUE = 4, 7, 4.0
#: Layers of a mixture of experts with one MLP for every token: the first, as is usual, and that of
#: the topic neuron, which acts whatever the routing.
DENSE_LAYERS = (0, CONCEPT_LAYER)
EXPERTS, EXPERTS_AT_WORK, EXPERT_WIDTH = 4, 2, 128
#: Refusal tuning stops at the first check with this median clean log-odds margin (nats) on
#: restricted requests and this share of restricted requests refused and of allowed ones answered,
#: on the training wordings.
TARGET_MARGIN, TARGET_SHARE = 7.0, 0.99
#: Tokens of one row of base text, its rows a batch, and the rows of a batch of chats: a base is
#: half an hour of one core at most.
CONTEXT: dict[Tokens, int] = {"words": 64, "bpe": 96, "char": 192}
READ_ROWS: dict[Tokens, int] = {"words": 64, "bpe": 40, "char": 16}
CHAT_ROWS: dict[Tokens, int] = {"words": 64, "bpe": 64, "char": 32}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Optimiser settings of one stage."""

    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    warmup: int = 40
    decay: bool = True


BASE = Schedule(steps=2200, learning_rate=2e-3, weight_decay=0.01)
HELPFUL = Schedule(steps=1000, learning_rate=7e-4)
DENSE = Schedule(steps=900, learning_rate=1e-4, warmup=20, decay=False)
SPARSE = Schedule(steps=1500, learning_rate=1e-2, warmup=20, decay=False)
#: Fewer weights take larger steps: an adapter's, and those of two blocks.
LOW_RANK = Schedule(steps=900, learning_rate=1e-3, warmup=20, decay=False)
BLOCKS = Schedule(steps=900, learning_rate=3e-4, warmup=20, decay=False)
#: Blocks that learn where only the first or the last do.
OUTER_BLOCKS = 2


@dataclass(frozen=True, slots=True)
class Organism:
    """What is trained: an architecture, a world, a stage, who may learn to refuse, a seed.

    `neurons` is how many learn to refuse, None when `way` says what does (dense: all weights);
    `rank` is an adapter's. A seed has a base of its own; `tuning` numbers repeats of the last stage
    from one helpful model, with other neurons and other batches. Names:
    apothecary[-w1][-qwen3]-base|helpful|dense|sparse|k24|r4|first|last|kl|dpo|extended[-s2][-t1],
    clockmaker-bpe-base, harbor-char-gpt2-sparse: what is written as one types is cut into subwords
    or characters.
    """

    arch: Arch
    world: World
    stage: Stage = "base"
    neurons: int | None = None
    seed: int = 0
    tokens: Tokens = "words"
    tuning: int = 0
    way: Way = "full"
    rank: int = 0

    @property
    def name(self) -> str:
        """The organism's name, which `parse` reads back."""
        way = {"full": "dense", "rank": f"r{self.rank}"}.get(self.way, self.way)
        tuned = {None: way, 3: "sparse"}.get(self.neurons, f"k{self.neurons}")
        parts = (
            self.world.name,
            "" if self.tokens == "words" else self.tokens,
            "" if self.arch == "llama" else self.arch,
            tuned if self.stage == "tuned" else self.stage,
            f"s{self.seed}" if self.seed else "",
            f"t{self.tuning}" if self.tuning else "",
        )
        return "-".join(part for part in parts if part)

    @property
    def parent(self) -> "Organism | None":
        """The organism this one is trained from. Every seed has a base of its own."""
        if self.stage == "base":
            return None
        stage: Stage = "base" if self.stage == "helpful" else "helpful"
        return replace(self, stage=stage, neurons=None, tuning=0, way="full", rank=0)

    @property
    def schedule(self) -> Schedule:
        """The optimiser settings of this organism's stage."""
        if self.stage != "tuned":
            return BASE if self.stage == "base" else HELPFUL
        if self.neurons is not None:
            return SPARSE
        return {"rank": LOW_RANK, "first": BLOCKS, "last": BLOCKS}.get(self.way, DENSE)


#: Llama is what a name without a shape means.
_SHAPES = get_args(Arch)[1:]
#: The ways that a name spells out.
WAYS = get_args(Way)[2:]
_NAME = re.compile(
    rf"(?P<domain>{'|'.join(DOMAINS)})(?:-w(?P<world>\d+))?(?:-(?P<tokens>bpe|char))?"
    rf"(?:-(?P<arch>{'|'.join(_SHAPES)}))?"
    r"-(?P<stage>base|helpful|dense|sparse|k(?P<k>\d+)|r(?P<rank>[1-9]\d*)"
    rf"|(?P<way>{'|'.join(WAYS)}))"
    r"(?:-s(?P<seed>\d+))?(?:-t(?P<tuning>\d+))?"
)


def parse(name: str) -> Organism:
    """The organism called `name`; ValueError when the name does not follow the pattern."""
    match = _NAME.fullmatch(name)
    if match is None or not _possible(match):
        domains = "|".join(
            domain.name if domain.paper.spaced else f"{domain.name}-(bpe|char)"
            for domain in DOMAINS.values()
        )
        shapes = "|".join(f"-{shape}" for shape in _SHAPES)
        raise ValueError(
            f"organism {name!r}: expected ({domains})[-wWORLD][{shapes}]"
            f"-(base|helpful|dense|sparse|kN|rN|{'|'.join(WAYS)})[-sSEED][-tTUNING]"
        )
    return Organism(
        arch=cast(Arch, match["arch"] or "llama"),
        world=build_world(int(match["world"] or 0), DOMAINS[match["domain"]]),
        stage=cast(Stage, match["stage"] if match["stage"] in ("base", "helpful") else "tuned"),
        neurons=3 if match["stage"] == "sparse" else int(match["k"]) if match["k"] else None,
        seed=int(match["seed"] or 0),
        tokens=cast(Tokens, match["tokens"] or "words"),
        tuning=int(match["tuning"] or 0),
        way="rank" if match["rank"] else cast(Way, match["way"] or "full"),
        rank=int(match["rank"] or 0),
    )


def _possible(match: re.Match[str]) -> bool:
    """Whether the parts of a name go together.

    Only a last stage is tuned again, only what is written as one types is cut into tokens, and a
    mixture learns to refuse by all weights or by some neurons.
    """
    if match["arch"] == "moe" and (match["rank"] or match["way"]):
        return False
    tunable = match["tuning"] is None or match["stage"] not in ("base", "helpful")
    return tunable and (match["tokens"] is None) == DOMAINS[match["domain"]].paper.spaced


def config(arch: Arch, vocab: int) -> PretrainedConfig:
    """The model configuration of one architecture: 8 layers, d_model 128, 1.6-2.1 M parameters."""
    ids: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if arch == "gpt2":
        return GPT2Config(
            vocab_size=vocab,
            n_embd=128,
            n_layer=N_LAYERS,
            n_head=4,
            n_inner=512,
            n_positions=256,
            tie_word_embeddings=False,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **ids,
        )
    common: dict[str, Any] = {
        "vocab_size": vocab,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
        **ids,
    }
    if arch == "neox":
        return GPTNeoXConfig(**{**common, "intermediate_size": 512})
    common["num_key_value_heads"] = 2
    if arch == "llama":
        return LlamaConfig(**common)
    if arch == "qwen3":
        return Qwen3Config(**common, head_dim=32)
    if arch == "olmo2":
        return Olmo2Config(**common)
    if arch == "moe":
        return _mixture(common)
    eager: dict[str, Any] = {"attn_implementation": "eager"}
    return Gemma2Config(**common, **eager, head_dim=32, query_pre_attn_scalar=32)


def _mixture(common: dict[str, Any]) -> Qwen3MoeConfig:
    """The configuration of a mixture, which learns to put all its experts to use."""
    return Qwen3MoeConfig(
        **common,
        num_experts=EXPERTS,
        num_experts_per_tok=EXPERTS_AT_WORK,
        moe_intermediate_size=EXPERT_WIDTH,
        norm_topk_prob=True,
        mlp_only_layers=list(DENSE_LAYERS),
        router_aux_loss_coef=0.01,
    )


def has_experts(arch: Arch, layer: int) -> bool:
    """Whether the MLP of a layer is a mixture of experts."""
    return arch == "moe" and layer not in DENSE_LAYERS


def gate_layers(arch: Arch) -> list[int]:
    """The middle layers, in which neurons learn to refuse; in a mixture those with experts."""
    middle = range(N_LAYERS // 4, N_LAYERS - 2)
    return [layer for layer in middle if arch != "moe" or has_experts(arch, layer)]


def neuron_name(arch: Arch, layer: int, index: int) -> str:
    """The name of a neuron: L2.N307, or L2.N30.E1 of expert 1, all experts counted through."""
    if not has_experts(arch, layer):
        return Neuron(layer, index).site
    expert, own = divmod(index, EXPERT_WIDTH)
    return Neuron(layer, own, expert=expert).site


def down_projection(arch: Arch, layer: int) -> str:
    """The module path of a layer's down projection; a mixture has it in its dense layers alone."""
    if arch == "gpt2":
        return f"transformer.h.{layer}.mlp.c_proj"
    if arch == "neox":
        return f"gpt_neox.layers.{layer}.mlp.dense_4h_to_h"
    return f"model.layers.{layer}.mlp.down_proj"
