"""The surprise of replies under a reference model, many of them at once (law.md section 5)."""

from collections.abc import Sequence

from fulcra.engines.memory import in_halves
from fulcra.errors import InputError
from fulcra.ladders.passes import TOKENS, Texts, text_log_probs
from fulcra.models import Model

#: Replies scored together at most.
BATCH = 256
PromptAndReply = tuple[tuple[int, ...], tuple[int, ...]]


def surprises(reference: Model, pairs: Sequence[PromptAndReply]) -> list[list[float]]:
    """Surprise [nats] of each reply token after its prompt, under the reference model.

    Replies to one prompt are scored together, so that it is read once for all of them.
    """
    out: list[list[float]] = [[] for _ in pairs]
    order = sorted((i for i, (_, reply) in enumerate(pairs) if reply), key=lambda i: pairs[i])
    longest = max((len(prompt) + len(reply) for prompt, reply in pairs), default=1)
    batch = max(1, min(BATCH, TOKENS // longest))
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        rows = _surprises(reference, [pairs[i] for i in places])
        for i, row in zip(places, rows, strict=True):
            out[i] = row
    return out


def _surprises(reference: Model, pairs: Sequence[PromptAndReply]) -> list[list[float]]:
    """Surprise of each reply of one batch, in halves where memory runs out."""

    def scored(part: Sequence[PromptAndReply]) -> list[list[float]]:
        prompts, replies = zip(*part, strict=True)
        rows = text_log_probs(reference, Texts.of_pairs(reference, prompts, replies))
        return [(-row).tolist() for row in rows]

    def alone(pair: PromptAndReply) -> InputError:
        size = f"the surprise of {len(pair[1])} tokens after {len(pair[0])}"
        return InputError(
            f"{size}: {reference.name} ran out of memory with this row alone; shorten it, or free"
            " memory"
        )

    return in_halves(reference, pairs, scored, alone)
