"""The cheapest forecast of a flip: log-odds of the one token at which the openings part."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fulcra.errors import BehaviorError
from fulcra.formulas.divergence import log_odds
from fulcra.ladders.passes import Texts, dosed_vectors
from fulcra.models import Model
from fulcra.models.chat import shared_start
from fulcra.models.unembedding import logit_blocks
from fulcra.types import Edit, Prompt

#: One in so many edits survives the first look of a sweep.
KEPT = 8


def promising(
    model: Model,
    prompts: Sequence[Prompt],
    system: str | None,
    edits: Sequence[Edit],
    advance: Callable[[int], None],
    least: int = 1,
) -> list[int]:
    """Indices of the best eighth of `edits`, and of `least` of them, best first.

    By the log-odds on the first and the last prompt alone.
    """
    tokens = NextTokens(model, [prompts[0], prompts[-1]], system)
    odds = next_token_odds(model, tokens, edits, advance)
    return odds.argsort(descending=True, stable=True)[: max(least, -(-len(edits) // KEPT))].tolist()


class NextTokens:
    """Texts of some prompts up to the token at which target and control openings part.

    `sides` holds the token ids of both sides there, a pair a prompt.
    """

    def __init__(self, model: Model, prompts: Sequence[Prompt], system: str | None = None) -> None:
        rows, self.sides = [], []
        for prompt in prompts:
            targets = [model.reply_ids(words) for words in prompt.target_openings]
            controls = [model.reply_ids(words) for words in prompt.control_openings]
            if not targets or not controls or not all(targets + controls):
                raise BehaviorError(
                    f"prompt {prompt.id}: the sweep needs target and control openings with tokens;"
                    " give both, or screen by contrast"
                )
            shared = min(shared_start(targets + controls), min(map(len, targets + controls)) - 1)
            rows.append(model.prompt_ids(prompt.text, system) + targets[0][:shared])
            self.sides.append(
                tuple(sorted({opening[shared] for opening in side}) for side in (targets, controls))
            )
        # Any reply of one token will do: only what foresees it is read.
        self.texts = Texts.of_pairs(model, rows, [(self.sides[i][0][0],) for i in range(len(rows))])

    def odds(self, model: Model, vectors: Tensor) -> Tensor:
        """Log-odds (nats) of target against control, [dose, prompt].

        From final vectors [dose, prompt, d_model]; what all tokens share cancels.
        """
        columns = []
        for i, (target, control) in enumerate(self.sides):
            parts = [
                log_odds(logits[:, target].logsumexp(-1), logits[:, control].logsumexp(-1))
                for _, logits in logit_blocks(model, vectors[:, i])
            ]
            columns.append(torch.cat(parts))
        return torch.stack(columns, -1)


def next_token_odds(
    model: Model,
    tokens: NextTokens,
    doses: Sequence[Edit],
    advance: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Mean over prompts of the log-odds under each dose, nats, [dose].

    Cost: one short pass a dose and prompt, no text.
    """
    out = torch.empty(len(doses), device=model.device)
    for places, vectors in dosed_vectors(model, tokens.texts, doses):
        out[places] = tokens.odds(model, vectors).mean(-1).to(out.device)
        advance(len(places))
    return out.cpu()
