"""How cost grows with neurons, prompts, horizon and layers: a table, an exponent, a plot."""

import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from pairs import taken
from setting import model
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra.engines.engine import run
from fulcra.models.adapter import Model
from fulcra.models.tiny import tiny_tokenizer
from fulcra.types import Edit, Neuron, RolloutRequest

GROWTH = Path(__file__).with_name("growth.json")
PLOT = Path(__file__).parents[1] / "docs" / "growth.svg"


def sweep(on: Model, neurons: int, prompts: int, horizon: int) -> list[RolloutRequest]:
    """One dose for each neuron on each prompt, spread over the layers."""
    ids = [tuple(5 + (31 * p + 7 * i) % 100 for i in range(12)) for p in range(prompts)]
    sites = [Neuron(n % on.n_layers, (n // on.n_layers) % on.d_mlp) for n in range(neurons)]
    return [
        RolloutRequest(prompt, (Edit(site, "add", 5.0),), horizon)
        for site in sites
        for prompt in ids
    ]


def layered(layers: int) -> Model:
    """A random Llama as wide as the organism."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=523,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return Model(f"random-{layers}", LlamaForCausalLM(config), tiny_tokenizer())


def measure(small: bool) -> dict[str, list[tuple[int, float]]]:
    """CPU seconds along each axis; `small`: two points of each.

    The others are held at 256 neurons, 4 prompts, 10 tokens, 8 layers.
    """
    axes: dict[str, tuple[tuple[int, ...], Callable[[int], tuple[Model, list[RolloutRequest]]]]] = {
        "neurons": ((64, 128, 256, 512, 1024, 2048), lambda n: (model(), sweep(model(), n, 4, 10))),
        "prompts": ((1, 2, 4, 8, 16), lambda n: (model(), sweep(model(), 256, n, 10))),
        "horizon": ((5, 10, 20, 40, 80), lambda n: (model(), sweep(model(), 256, 4, n))),
        "layers": ((2, 4, 8, 16, 32), lambda n: (on := layered(n), sweep(on, 256, 4, 10))),
    }
    seconds: dict[str, list[tuple[int, float]]] = {}
    for name, (values, work) in axes.items():
        seconds[name] = []
        for value in values[:2] if small else values:
            on, requests = work(value)
            run(on, requests[:64])
            times = [taken(partial(run, on, requests))[0] for _ in range(2)]
            seconds[name].append((value, min(times)))
            print(name, *seconds[name][-1], flush=True)
    return seconds


def exponent(points: list[tuple[int, float]]) -> float:
    """The slope of log seconds over the upper half of an axis: 1 is linear."""
    (low, before), (high, after) = points[len(points) // 2 - 1], points[-1]
    return math.log(after / before) / math.log(high / low)


def plot(seconds: dict[str, list[tuple[int, float]]]) -> str:
    """Four lines on doubly logarithmic axes, each against its own least value; grey is linear."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 300" font-family="sans-serif"'
        ' font-size="11">'
    ]
    lines += [
        '<path d="M40 260H400M40 260V20" stroke="#888" fill="none"/>',
        '<text x="150" y="290">size, relative to the smallest</text>',
    ]
    lines += [
        '<text x="12" y="170" transform="rotate(-90 12 170)">CPU seconds, relative</text>',
        '<path d="M40 260L340 60" stroke="#ccc"/>',
    ]
    for color, (name, points) in zip(
        ("#1b6ca8", "#c8553d", "#588157", "#7b2d8b"), seconds.items(), strict=True
    ):
        corners = [
            (40 + 60 * math.log2(x / points[0][0]), 260 - 40 * math.log2(y / points[0][1]))
            for x, y in points
        ]
        way = " ".join(f"{x:.0f},{y:.0f}" for x, y in corners)
        lines.append(f'<polyline points="{way}" stroke="{color}" fill="none"/>')
        lines.append(
            f'<text x="{corners[-1][0] + 4:.0f}" y="{corners[-1][1]:.0f}" fill="{color}">{name}'
            f" {exponent(points):.2f}</text>"
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def page(seconds: dict[str, list[tuple[int, float]]]) -> str:
    """The page of the documentation: a table a line, its exponent, and the plot."""
    lines = [
        "# How cost grows",
        "",
        (
            "CPU seconds of a sweep on one thread (`benchmarks/growth.py`), the other axes held at"
            " 256 neurons,"
        ),
    ]
    lines += [
        "4 prompts, 10 tokens, 8 layers. The exponent is the slope of the upper half: 1 is linear."
        " Rows leave where their text"
    ]
    lines += ["ends, so a longer horizon costs less than its length.", ""]
    lines += ["| axis | size: seconds | exponent |", "|---|---|---|"]
    for name, points in seconds.items():
        lines.append(
            f"| {name} | {', '.join(f'{x:,}: {y:.2f}' for x, y in points)} |"
            f" {exponent(points):.2f} |"
        )
    return "\n".join([*lines, "", "![Cost against size](growth.svg)"]) + "\n"


def main() -> None:
    """Writes growth.json, docs/growth.md and docs/growth.svg.

    With --small two points an axis, and nothing is written.
    """
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    small = "--small" in sys.argv
    seconds = measure(small)
    print(page(seconds))
    if not small:
        GROWTH.write_text(
            json.dumps(
                {name: [(x, round(y, 3)) for x, y in points] for name, points in seconds.items()},
                indent=1,
            )
            + "\n"
        )
        PLOT.write_text(plot(seconds))
        PLOT.with_suffix(".md").write_text(page(seconds))


if __name__ == "__main__":
    main()
