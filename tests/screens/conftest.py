"""A two-layer random Llama with the apothecary's words, in which a neuron can be planted."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra import Behavior, Model, load
from fulcra.types import Prompt, Reading

LAYER, INDEX = 1, 5
Plant = Callable[[LlamaForCausalLM], None]


def unread(prompt: Prompt, text: str, ended: bool) -> Reading:
    """No screen reads a completion."""
    raise AssertionError


@pytest.fixture
def planted(sparse: Model, tmp_path: Path) -> Callable[[Plant], Model]:
    """Builds the model and loads it from its folder after `plant` has changed its weights."""

    def build(plant: Plant) -> Model:
        torch.manual_seed(0)
        shape = {
            "hidden_size": 32,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        }
        hf = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=sparse.vocab, max_position_embeddings=128, initializer_range=0.2, **shape
            )
        )
        with torch.no_grad():
            plant(hf)
        hf.save_pretrained(tmp_path)
        sparse.tokenizer.save_pretrained(tmp_path)
        (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
        return load(str(tmp_path))

    return build


def behavior(
    positive: list[str], negative: list[str], target: str = "here", control: str = "sorry"
) -> Behavior:
    """A behavior on plain texts, whose replies begin with one of two words."""

    def prompts(kind: str, texts: list[str]) -> tuple[Prompt, ...]:
        return tuple(
            Prompt(f"{kind}-{i}", text, (target,), (control,)) for i, text in enumerate(texts)
        )

    generic = tuple(
        f"the {noun} {verb}"
        for noun in ("cat", "dog", "king", "wolf")
        for verb in ("sleeps", "waits", "sings", "makes")
    )
    return Behavior(
        name="planted",
        version="1",
        flip="the word",
        oracle=unread,
        horizon=8,
        positive=prompts("positive", positive),
        negative=prompts("negative", negative),
        selection=prompts("selection", negative),
        confirmation=prompts("confirmation", negative),
        generic=generic,
        ceiling_generic=generic,
    )
