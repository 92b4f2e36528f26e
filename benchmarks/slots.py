"""Slots that refill by one compiled step, against batches that shrink, on the same requests."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import setting
from pairs import Row, compare, taken
from real_size import billion
from real_size import tokens as random_prompts
from setting import Size, model, requests, rows, settings
from sweep import Tokens, agree

from fulcra.engines.continuous_batching import why_not_compiled
from fulcra.engines.local import run
from fulcra.models import Model, add
from fulcra.types import Neuron, RolloutRequest


def engine(on: Model, work: Sequence[RolloutRequest], compiled: bool) -> Tokens:
    """The rollouts by one of the two engines."""
    on.compiled = compiled
    try:
        return rows(run(on, work))
    finally:
        on.compiled = False


def side_by_side(
    name: str,
    on: Model,
    work: Sequence[RolloutRequest],
    rounds: int,
    equal: Callable[[Tokens, Tokens], bool],
) -> Row:
    """A row of slots against the plain engine, tokens a second of both, and which to use.

    Compiling is counted apart.
    """
    compiling, tokens = taken(partial(engine, on, work, True))
    if reason := why_not_compiled(on):
        raise SystemExit(f"{name}: both engines are the plain one here: {reason}")
    count = sum(map(len, tokens))
    row = compare(
        name,
        "the plain engine",
        [(partial(engine, on, work, True), partial(engine, on, work, False))] * rounds,
        equal,
    )
    assert row.low is not None
    assert row.high is not None
    assert row.peer_s is not None
    better = (
        "compiled=True"
        if row.low > 1
        else "the plain engine"
        if row.high < 1
        else "either: their intervals overlap"
    )
    speeds = f"{count / row.ours_s:.0f} tokens a second in slots, {count / row.peer_s:.0f} plain"
    print(
        f"{name}: {speeds}; the first run, with compiling, {compiling:.1f} s; use {better}",
        flush=True,
    )
    return row


def long_tailed(on: Model, count: int) -> list[RolloutRequest]:
    """Doses of neurons in every layer, on four prompts, 8 to 64 tokens long.

    Rows leave at different times.
    """
    prompts, sites = (
        random_prompts(4, 24, 7),
        [Neuron(n % on.n_layers, (97 * n) % on.d_mlp) for n in range(count)],
    )
    return [
        RolloutRequest(prompts[n % 4], (add(site, alpha=5.0),), (8, 16, 32, 64)[n // 4 % 4])
        for n, site in enumerate(sites)
    ]


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """The sweep of the organism.

    On an accelerator also a random model of 1.2 billion parameters in bfloat16.
    """
    table = []
    if wanted("slots_vs_plain"):
        work = requests(settings(size))
        table.append(side_by_side("slots_vs_plain", model(), work, rounds, partial(agree, work)))
    if wanted("slots_vs_plain_1b") and setting.device.type != "cpu":
        large = billion()
        large.hf.to(setting.device)
        row = side_by_side(
            "slots_vs_plain_1b",
            large,
            long_tailed(large, 64 * size.prompts),
            rounds,
            lambda left, right: True,
        )
        # in bfloat16 near ties are everywhere: what the two say is not compared
        table.append(replace(row, equal_results=None))
    return table
