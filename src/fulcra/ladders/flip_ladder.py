"""The ceiling forecast on flipped replies: the gain at which a dosed model cannot finish one."""

from collections.abc import Sequence

from fulcra.engines.engine import run
from fulcra.engines.generic import GenericText
from fulcra.errors import BehaviorError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.passes import Texts
from fulcra.ladders.search import bisected
from fulcra.ladders.surprise_ladder import expected_shares, odd_tokens
from fulcra.ladders.trigger_ladder import OPENING_TOKENS
from fulcra.models import Model
from fulcra.types import Edge, Prompt, RolloutRequest

#: Frozen: chosen on the censuses of the two development organisms (LOG.md), before any held-out
#: model. One odd token leads to more, so far fewer of them than the judge's .30 break a reply that
#: the model goes on with by itself.
EXCESS = 0.03


def flipped_text(
    model: Model, prompts: Sequence[Prompt], system: str | None, horizon: int
) -> GenericText:
    """What follows the target opening in a flipped reply, after prompt and opening.

    It is that of the true answer where one is known, else what the undosed model goes on with
    greedily. Replies that end with the opening are left out; BehaviorError where all do.
    """
    begun, after = [], []
    for prompt in prompts:
        ids = model.prompt_ids(prompt.text, system)
        reply = model.reply_ids(prompt.answer or prompt.target_openings[0])
        opening = min(OPENING_TOKENS, len(reply) - 1) if prompt.answer else OPENING_TOKENS
        begun.append(ids + reply[:opening])
        after.append(reply[opening:] if prompt.answer else ())
    unknown = [i for i, prompt in enumerate(prompts) if not prompt.answer]
    rollouts = run(model, [RolloutRequest(begun[i], (), horizon) for i in unknown])
    for i, rollout in zip(unknown, rollouts, strict=True):
        after[i] = rollout.tokens
    places = [i for i, reply in enumerate(after) if reply]
    if not places:
        raise BehaviorError(
            f"flipped replies: {model.name} ends all {len(prompts)} of them after the target"
            " opening; give true answers"
        )
    return GenericText(tuple(begun[i] for i in places), tuple(after[i] for i in places))


def flip_ladder(
    model: Model,
    branches: Sequence[Coordinate],
    flips: GenericText,
    level: float,
    reference: Model,
    gains: Sequence[float] = CEILING_GAINS,
) -> list[Edge]:
    """The predicted ceiling of each branch on `flips`: where the excess of odd tokens is EXCESS.

    The excess is the expected share of next tokens whose surprise under `reference` is above
    `level` nats, beyond that of the undosed model; censored where it stays below up to the last
    rung. Tier 2: dosed teacher-forced passes, nothing generated under a dose.
    """
    texts = Texts.of_pairs(model, flips.prompts, flips.replies)
    odd = odd_tokens(reference, texts, level)
    undosed = float(expected_shares(model, texts, odd, [None])[0])
    return bisected(
        branches,
        lambda doses: expected_shares(model, texts, odd, doses) - undosed,
        gains,
        EXCESS,
        "flip_ladder",
    )
