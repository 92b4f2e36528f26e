"""Long rollouts under mixed doses by vLLM and by this process, turn about, one thread.

`.venv-vllm/bin/python benchmarks/long_rollouts.py MODEL [MODEL ...]` writes long_rollouts.json:
tokens a CPU second of `process_time` (vLLM runs in this process), prompts read included, and how
many rows have equal tokens. A reply ends where the model ends it.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch

from fulcra import Model, load
from fulcra.engines.local import LocalEngine
from fulcra.engines.vllm import VllmEngine, VllmOptions
from fulcra.types import Edit, Neuron, Rollout, RolloutRequest

OUT = Path(__file__).with_name("long_rollouts.json")
TEXTS = ("Tell me a long story about a harbour.", "Explain how bread is made, step by step.")


def requests(model: Model, doses: int, horizon: int) -> list[RolloutRequest]:
    """Two prompts under so many doses of as many neurons, each below its edge."""
    layers = [1 + i * (model.n_layers - 2) // doses for i in range(doses)]
    return [
        RolloutRequest(model.prompt_ids(text), (Edit(Neuron(layer, 7 + i), "add", 1.0),), horizon)
        for i, layer in enumerate(layers)
        for text in TEXTS
    ]


def rolled(engine: LocalEngine | VllmEngine, work: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts, in the order of their requests."""
    pairs = (pair for shard in engine.run_shards(work) for pair in shard.items())
    return [rollout for _, rollout in sorted(pairs, key=lambda pair: pair[0])]


def seconds(work: Callable[[], list[Rollout]]) -> tuple[float, list[Rollout]]:
    """CPU seconds of this process, and the rollouts."""
    start = process_time()
    out = work()
    return process_time() - start, out


def row(name: str, doses: int, horizon: int, rounds: int) -> dict[str, Any]:
    """Local, vLLM, local, vLLM: tokens a CPU second of each, and their ratio."""
    model = load(name)
    length = min(model.context, 2048)
    work = requests(model, doses, min(horizon, length - 64))
    local, engine = LocalEngine(model), VllmEngine(model, VllmOptions(length=length))
    try:
        rolled(engine, work[:2])
        pairs = [
            (seconds(lambda: rolled(local, work)), seconds(lambda: rolled(engine, work)))
            for _ in range(rounds)
        ]
    finally:
        engine.close()
    tokens = sum(len(rollout.tokens) for rollout in pairs[0][0][1])
    same = sum(a == b for a, b in zip(pairs[0][0][1], pairs[0][1][1], strict=True))
    return {
        "model": model.name,
        "rows": len(work),
        "tokens": tokens,
        "local": round(tokens / median(pair[0][0] for pair in pairs), 1),
        "vllm": round(tokens / median(pair[1][0] for pair in pairs), 1),
        "ratios": [round(pair[0][0] / pair[1][0], 3) for pair in pairs],
        "equal rows": same,
        "version": engine.version,
    }


def main() -> None:
    """Measure every model named, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--doses", type=int, default=16)
    parser.add_argument("--horizon", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = [row(name, asked.doses, asked.horizon, asked.rounds) for name in asked.models]
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    print(OUT.read_text(), end="")


if __name__ == "__main__":
    main()
