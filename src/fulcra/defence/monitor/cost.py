"""What a watch costs a generated token: in multiplications, and in processor time."""

import statistics
import time
from contextlib import nullcontext

import torch

from fulcra.defence.monitor.calibration import Calibration
from fulcra.defence.monitor.watch import watch
from fulcra.models import Model
from fulcra.protocol.results.monitor import WatchCost

#: Tokens of one timed decode: two windows, so that none is left open.
TOKENS = 128


def watch_cost(model: Model, calibration: Calibration, prompt: str, pairs: int) -> WatchCost:
    """The cost of a watch: decodes of one prompt with and without it, by turns, in one run."""
    shares = []
    for i in range(pairs + 1):
        # whichever comes first is the other one in the next pair
        seconds = {
            on: _decode(model, calibration, prompt, on) for on in ((i % 2 == 0), (i % 2 > 0))
        }
        shares.append(seconds[True] / seconds[False] - 1)
    low, middle, high = statistics.quantiles(shares[1:], n=4)  # the first pair warms up
    return WatchCost(
        products=products_share(model, calibration), time=middle, low=low, high=high, pairs=pairs
    )


def products_share(model: Model, calibration: Calibration) -> float:
    """Multiplications of a watch over those of a forward pass, a token, without the attention.

    A window costs a layer a product with every write and two with the whitening's basis. In a
    mixture of experts a pass counts as if every expert ran.
    """
    watched = sum(
        model.d_model * (model.width(layer) + 4 * len(norms.spread.basis))
        for layer, norms in enumerate(calibration.norms)
    )
    blocks = sum(weight.numel() for block in model.blocks for weight in block.parameters())
    return watched / calibration.header.window / (blocks + model.d_model * model.vocab)


@torch.no_grad()
def _decode(model: Model, calibration: Calibration, prompt: str, on: bool) -> float:
    """Processor seconds of one decode, with a watch and its report or without."""
    ids = torch.tensor([model.prompt_ids(prompt)], device=model.device)
    tokens = min(TOKENS, model.context - ids.shape[1])
    start = time.process_time()
    with watch(model, calibration) if on else nullcontext() as watching:
        model.hf.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )
        if watching is not None:
            watching.report()
    return time.process_time() - start
