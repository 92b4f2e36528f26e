"""What the pieces of an audit cost on this machine, timed on stand-in neurons."""

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from fulcra.engines.decoding import shared
from fulcra.engines.engine import run
from fulcra.engines.generic import GenericText
from fulcra.errors import BehaviorError
from fulcra.ladders.kl_ladder import edit_divergences
from fulcra.ladders.next_token import NextTokens, next_token_odds
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS
from fulcra.models import Model
from fulcra.models.capture import reply_log_probs, stream
from fulcra.models.coordinate import coordinate
from fulcra.screens.objective import with_phrases
from fulcra.types import Behavior, Edit, RolloutRequest

#: Prompts of the sample, and stand-in neurons in layers of every depth: small models run many rows
#: together, and a row of a small batch costs more.
PROMPTS, NEURONS = 4, 64
#: Wall seconds that reading the sample's prompts may take; it has fewer neurons where it must.
LIMIT = 3.0
#: Tokens of a sampled reply at least, and edits of the first probe.
TOKENS, FEW = 9, 4

T = TypeVar("T")


class UnitCosts(NamedTuple):
    """Wall seconds of each piece of work, and what they are multiplied with.

    read: a prompt read under a dose. token: one more token of a row. judged: one reply token
    scored by the reference. next_token: a dosed pass over one prompt; None where the behavior has
    no openings. text: a dosed pass over one token of a generic text or of its prompt. cpu: CPU
    time over wall time. prompt, reply: their mean length in tokens.
    """

    read: float
    token: float
    judged: float
    next_token: float | None
    text: float
    cpu: float
    prompt: float
    reply: float


def unit_costs(model: Model, behavior: Behavior, seed: int = 0) -> UnitCosts:
    """The unit costs of a behavior under a model; nothing that may be committed is dosed.

    Cost: 64 rollouts and 40 short passes, 20 s at most on any model that two cores can audit.
    """
    shared(model)
    wall, cpu = time.perf_counter(), time.process_time()
    prompts = [model.prompt_ids(p.text, behavior.system) for p in behavior.selection]
    edits = _stand_ins(model, prompts[:PROMPTS], seed)
    few = edits[:: NEURONS // FEW]
    probe = _timed(lambda: run(model, _requests(prompts[:1], few, 1)))[1] / FEW
    fit = max(FEW, min(NEURONS, int(LIMIT / probe / PROMPTS)))
    edits = edits[:: NEURONS // fit]
    read, replies, token = _rollouts(model, prompts[:PROMPTS], edits, behavior.horizon)
    sources = [ids for ids in prompts[:PROMPTS] for _ in edits]
    judged = _timed(lambda: reply_log_probs(model, sources, replies))[1]
    generic = GenericText(tuple(sources), tuple(replies)).first(FEW)
    few = edits[:: max(1, len(edits) // max(FEW, fit // 4))]
    text = _timed(lambda: edit_divergences(model, few, generic))[1]
    tokens = sum(map(len, (*set(generic.prompts), *generic.replies)))
    return UnitCosts(
        read=read,
        token=token,
        judged=judged / sum(map(len, replies)),
        next_token=_next_token(model, behavior, edits),
        text=text / tokens / len(few),
        cpu=(time.process_time() - cpu) / (time.perf_counter() - wall),
        prompt=sum(map(len, prompts)) / len(prompts),
        reply=_length(replies, behavior.horizon),
    )


def _requests(
    prompts: Sequence[tuple[int, ...]], edits: Sequence[Edit], horizon: int
) -> list[RolloutRequest]:
    return [RolloutRequest(ids, (edit,), horizon) for ids in prompts for edit in edits]


def _rollouts(
    model: Model, prompts: Sequence[tuple[int, ...]], edits: Sequence[Edit], horizon: int
) -> tuple[float, list[tuple[int, ...]], float]:
    """Seconds to read one prompt, the replies (none empty), seconds of one more token."""
    rows = len(prompts) * len(edits)
    read = _timed(lambda: run(model, _requests(prompts, edits, 1)))[1] / rows
    tokens = max(TOKENS, min(horizon, int(LIMIT / (read * rows))))
    longer = _requests(prompts, edits, min(horizon, tokens))
    rollouts, seconds = _timed(lambda: run(model, longer))
    replies = [rolled.tokens or q.prompt[-1:] for rolled, q in zip(rollouts, longer, strict=True)]
    more = sum(map(len, replies)) - rows
    return read, replies, max(seconds - read * rows, 0.0) / max(more, 1)


def _length(replies: Sequence[tuple[int, ...]], horizon: int) -> float:
    """The mean length of replies [tokens]; those cut by the sample count as long as they may be."""
    longest = max(map(len, replies))
    whole = [horizon if len(reply) == longest else len(reply) for reply in replies]
    return sum(whole) / len(whole)


def _stand_ins(model: Model, prompts: Sequence[tuple[int, ...]], seed: int) -> list[Edit]:
    """Doses of random neurons over the gains of a ladder, in layers of every depth."""
    rng = random.Random(f"stand-ins-{seed}")
    layers = [place * model.n_layers // NEURONS for place in range(NEURONS)]
    neurons = [model.neuron(layer, rng.randrange(model.width(layer))) for layer in layers]
    clean = stream(model, [ids[:-1] for ids in prompts], [ids[-1:] for ids in prompts])
    places = [coordinate(model, clean, neuron) for neuron in neurons]
    gains = rng.choices(TRIGGER_GAINS, k=NEURONS)
    return [p.dose(p.within(gain)) for p, gain in zip(places, gains, strict=True)]


def _next_token(model: Model, behavior: Behavior, edits: Sequence[Edit]) -> float | None:
    """Seconds of one dosed pass over one prompt."""
    try:
        phrased = with_phrases(behavior, behavior.selection[:PROMPTS])
        tokens = NextTokens(model, phrased, behavior.system)
    except BehaviorError:
        return None
    return _timed(lambda: next_token_odds(model, tokens, edits))[1] / len(edits) / len(phrased)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns, and the wall seconds it takes."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start
