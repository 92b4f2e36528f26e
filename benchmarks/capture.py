"""The capture path against hooks that store everything, and against the bare forward pass that is
its floor.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import setting
import torch
from pairs import Row, compare
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from fulcra.models.adapter import Model
from fulcra.models.capture import padded, positions_of
from fulcra.models.moments import activation_moments
from fulcra.models.tiny import tiny_tokenizer

MEMORY = Path(__file__).with_name("memory.json")
VOCAB, BATCH = 32_000, 32
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
    """The contrast of mean activations at the last prompt token."""
    left, right = (activation_moments(random_model(), some, batch=BATCH) for some in sides())
    return left.mean - right.mean


def stored(prompts: Prompts) -> Tensor:
    """Mean activation at the last token from hooks on a full forward pass, all activations kept
    until the end.
    """
    kept: list[list[Tensor]] = [[] for _ in range(random_model().n_layers)]
    handles = [
        random_model()
        .down(layer)
        .register_forward_pre_hook(lambda module, args, layer=layer: kept[layer].append(args[0]))  # type: ignore[misc]
        for layer in range(random_model().n_layers)
    ]
    for start in range(0, len(prompts), BATCH):
        ids, mask = padded(prompts[start : start + BATCH], random_model().device, left=True)
        random_model().hf(
            input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False
        )
    for handle in handles:
        handle.remove()
    return torch.stack([torch.cat([batch[:, -1] for batch in layer]).mean(0) for layer in kept])


def peer() -> Tensor:
    """The same contrast from everything stored."""
    left, right = map(stored, sides())
    return left - right


def bare() -> None:
    """The same batches through the blocks alone: no hooks, no unembedding."""
    for prompts in sides():
        ordered = sorted(prompts, key=len)
        for start in range(0, len(ordered), BATCH):
            ids, mask = padded(ordered[start : start + BATCH], random_model().device, left=True)
            random_model().hf.base_model(
                input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False
            )


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two contrasts are equal up to float noise."""
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-5))


def peak_bytes(work: str, size: setting.Size) -> int:
    """Bytes that `ours` or `peer` adds to the peak of a fresh process."""
    ready = (
        "torch.set_num_threads(1); torch.set_grad_enabled(False); capture.sides();"
        " capture.random_model()"
    )
    code = (
        f"import capture, torch; capture.PROMPTS = {size.capture_prompts}; {ready};"
        f" print(capture.added(capture.{work}))"
    )
    asked = [sys.executable, "-W", "ignore", "-c", code]
    said = subprocess.run(
        asked, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout
    return int(said.split()[-1])


def added(work: Callable[[], object]) -> int:
    """Bytes that one call adds to this process's peak."""
    before = peak()
    work()
    return peak() - before


def peak() -> int:
    """The most bytes this program has held (Linux); getrusage would count those of the process that
    started it too.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def rows_of(wanted: Callable[[str], bool], rounds: int, size: setting.Size) -> list[Row]:
    """The two capture rows."""
    global PROMPTS
    PROMPTS = size.capture_prompts
    peers: Sequence[tuple[str, str, Callable[[], object], Callable[[Tensor, Tensor], bool]]] = (
        ("capture_contrast", "hooks and full forward, all activations stored", peer, same),
        ("capture_limit", "bare forward without unembedding", bare, lambda one, other: True),
    )
    found = []
    for name, peer_name, work, equal in peers:
        if wanted(name):
            ours(), work()
            found.append(compare(name, peer_name, [(ours, partial(work))] * rounds, equal))
    if wanted("capture_contrast") and setting.device.type == "cpu":
        peaks = {f"{whose}_bytes": peak_bytes(whose, size) for whose in ("ours", "peer")}
        print(
            {
                "name": "capture_contrast",
                **peaks,
                "share": round(peaks["ours_bytes"] / max(1, peaks["peer_bytes"]), 3),
            },
            flush=True,
        )
        if size == setting.Size():
            MEMORY.write_text(json.dumps(peaks, indent=1) + "\n")
    return found
