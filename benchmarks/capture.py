"""The contrast against hooks that store everything, and against the bare forward pass."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import setting
import torch
from pairs import Row, compare
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra.models.activations import mean_activations
from fulcra.models.adapter import Model
from fulcra.models.batches import batches
from fulcra.models.tiny import tiny_tokenizer

MEMORY = Path(__file__).with_name("memory.json")
VOCAB, BATCH = 32_000, 32
#: Run in a fresh process whose peak counts; formatted with the prompts and the work.
MEASURED = """
import capture, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
capture.PROMPTS = {prompts}
capture.sides(), capture.random_model()
print(capture.added(capture.{work}))
"""
#: Set before the first row by its size.
PROMPTS = 400

Prompts = list[tuple[int, ...]]


@cache
def random_model() -> Model:
    """A random Llama of eight layers with a vocabulary of 32,000."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
    )
    return Model("random", LlamaForCausalLM(config).to(setting.device), tiny_tokenizer())


@cache
def sides() -> tuple[Prompts, Prompts]:
    """Two halves of `PROMPTS` prompts of 16 to 48 tokens."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(16, 49, (PROMPTS,), generator=generator).tolist()
    rows = [
        tuple(torch.randint(5, VOCAB, (length,), generator=generator).tolist())
        for length in lengths
    ]
    return rows[: PROMPTS // 2], rows[PROMPTS // 2 :]


def ours() -> Tensor:
    """The difference of means of a contrast (`fulcra.screens.scores.contrast_of`)."""
    left, right = (mean_activations(random_model(), side, batch=BATCH) for side in sides())
    return left - right


def stored(prompts: Prompts) -> Tensor:
    """Mean activation at the last token of full passes, all activations held until the end."""
    layers: list[list[Tensor]] = [[] for _ in range(random_model().n_layers)]
    handles = [
        random_model()
        .down(layer)
        .register_forward_pre_hook(lambda module, args, layer=layer: layers[layer].append(args[0]))  # type: ignore[misc]
        for layer in range(random_model().n_layers)
    ]
    for part in batches(random_model(), prompts, BATCH, left=True):
        random_model().hf(**part.inputs, use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack([torch.cat([batch[:, -1] for batch in layer]).mean(0) for layer in layers])


def peer() -> Tensor:
    """The same contrast from everything stored."""
    left, right = map(stored, sides())
    return (left - right).cpu()


def bare() -> None:
    """The same batches through the blocks alone: no hooks, no unembedding."""
    for side in sides():
        for part in batches(random_model(), side, BATCH, left=True):
            random_model().hf.base_model(**part.inputs, use_cache=False)


def same(contrast: Tensor, expected: Tensor) -> bool:
    """Whether two contrasts are equal up to float noise."""
    return bool(torch.allclose(contrast, expected, rtol=1e-3, atol=1e-5))


def peak_bytes(work: str, size: setting.Size) -> int:
    """Bytes that `ours` or `peer` adds to the peak of a fresh process."""
    code = MEASURED.format(prompts=size.capture_prompts, work=work)
    command = [sys.executable, "-W", "ignore", "-c", code]
    here = Path(__file__).parent
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout
    return int(output.split()[-1])


def added(work: Callable[[], object]) -> int:
    """Bytes that one call adds to this process's peak."""
    before = peak()
    work()
    return peak() - before


def peak() -> int:
    """The most bytes this program has held, on Linux.

    getrusage would count those of the process that started it too.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def memory(size: setting.Size) -> None:
    """Prints what both sides add to the peak, and writes memory.json at full size."""
    peaks = {f"{side}_bytes": peak_bytes(side, size) for side in ("ours", "peer")}
    share = round(peaks["ours_bytes"] / max(1, peaks["peer_bytes"]), 3)
    print({"name": "capture_contrast", **peaks, "share": share}, flush=True)
    if size == setting.Size():
        MEMORY.write_text(json.dumps(peaks, indent=1) + "\n")


def rows_of(wanted: Callable[[str], bool], rounds: int, size: setting.Size) -> list[Row]:
    """The row of the contrast, and that of its limit."""
    global PROMPTS
    PROMPTS = size.capture_prompts
    rows = []
    if wanted("capture_contrast"):
        ours(), peer()
        against = "hooks and full forward, all activations stored"
        rows.append(compare("capture_contrast", against, [(ours, peer)] * rounds, same))
    if wanted("capture_limit"):
        ours(), bare()
        against = "bare forward without unembedding"
        rows.append(
            compare("capture_limit", against, [(ours, bare)] * rounds, lambda *results: True)
        )
    if wanted("capture_contrast") and setting.device.type == "cpu":
        memory(size)
    return rows
