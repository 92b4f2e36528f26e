"""A random Llama of 1.2 billion parameters in bfloat16, and what each step takes on it."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.initialization import no_init_weights

from fulcra.engines.decoding import shared
from fulcra.engines.engine import run
from fulcra.engines.generic import GenericText
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.passes import Texts
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models.activations import mean_activations
from fulcra.models.adapter import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.tiny import tiny_tokenizer
from fulcra.types import Neuron, RolloutRequest

OUT = Path(__file__).with_name("real_size.json")


def billion() -> Model:
    """Llama-3.2-1B's shape with random weights, made on the spot."""
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        dtype=torch.bfloat16,
    )
    with no_init_weights():
        hf = LlamaForCausalLM(config).to(torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in hf.named_parameters():
        parameter.data.fill_(1.0) if "norm" in name else parameter.data.normal_(
            0, 0.02, generator=generator
        )
    return Model("random-1b", hf, tiny_tokenizer())


def tokens(rows: int, length: int, seed: int) -> list[tuple[int, ...]]:
    """Rows of random token ids, decided by `seed`."""
    drawn = torch.randint(5, 128_000, (rows, length), generator=torch.Generator().manual_seed(seed))
    return [tuple(row) for row in drawn.tolist()]


def main() -> None:
    """Writes real_size.json: wall and CPU seconds of each step and the peak of memory."""
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    torch.set_grad_enabled(False)
    steps: dict[str, dict[str, float]] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        steps[name] = {
            "wall_s": round(time.perf_counter() - wall, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
            "peak_gib": round(peak, 2),
        }
        print(name, steps[name], flush=True)
        OUT.write_text(json.dumps(steps, indent=1) + "\n")
        return result

    model = step("create", billion)
    step("share check", lambda: shared(model))
    step(
        "screen, 16 + 16 prompts",
        lambda: [mean_activations(model, tokens(16, 24, seed), batch=16) for seed in (1, 2)],
    )
    text = GenericText(tuple(tokens(2, 8, 3)), tuple(tokens(2, 8, 4)))
    clean = step("stream", lambda: stream(model, text.prompts, text.replies))
    branches = [coordinate(model, clean, Neuron(n % 16, 97 * n)) for n in range(32)]
    step("kl_ladder, 32 neurons", lambda: kl_ladder(model, branches, text))
    prompt = tokens(1, 12, 5)[0]
    openings = Openings(
        Texts.of_pairs(model, [prompt] * 4, tokens(4, 3, 6)),
        torch.zeros(4, dtype=torch.long),
        torch.tensor([True, True, False, False]),
    )
    step("trigger_ladder, 32 neurons", lambda: trigger_ladder(model, branches, openings))
    requests = [RolloutRequest(prompt, (place.dose(0.5),), 16) for place in branches]
    step("rollouts, 32 x 16 tokens", lambda: run(model, requests))


if __name__ == "__main__":
    main()
