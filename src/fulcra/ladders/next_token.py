"""The cheapest forecast of a flip: log-odds of the one next token at which target and control openings part."""

from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from fulcra.errors import BehaviorError
from fulcra.formulas.divergence import log_odds
from fulcra.models import Model, applied_rows
from fulcra.models.capture import padded, positions_of
from fulcra.types import Edit, Prompt

ROWS = 1024


def shared_start(rows: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


class NextTokens:
    """The one token at which target and control openings part, for some prompts: ids and mask [prompt, pos] and both sides."""

    def __init__(self, model: Model, prompts: Sequence[Prompt], system: str | None = None) -> None:
        rows, self.sides = [], []
        for prompt in prompts:
            targets = [model.reply_ids(words) for words in prompt.target_openings]
            controls = [model.reply_ids(words) for words in prompt.control_openings]
            if not targets or not controls or not all(targets + controls):
                raise BehaviorError(f"prompt {prompt.id}: the sweep needs target and control openings with tokens; give both")
            shared = min(shared_start(targets + controls), min(map(len, targets + controls)) - 1)
            rows.append(model.prompt_ids(prompt.text, system) + targets[0][:shared])
            self.sides.append(tuple(sorted({opening[shared] for opening in side}) for side in (targets, controls)))
        self.ids, self.mask = padded(rows, model.device, left=True)

    def odds(self, logits: Tensor) -> Tensor:
        """Log-odds (nats) of target against control, [..., prompt], from next-token logits [..., prompt, vocab]."""
        log_probs = logits.float().log_softmax(-1)
        columns = []
        for i, (target, control) in enumerate(self.sides):
            columns.append(log_odds(log_probs[..., i, target].logsumexp(-1), log_probs[..., i, control].logsumexp(-1)))
        return torch.stack(columns, -1)


@torch.no_grad()
def next_token_odds(model: Model, tokens: NextTokens, doses: Sequence[Edit], advance: Callable[[int], None] = lambda done: None) -> Tensor:
    """Mean over prompts of the log-odds under each dose, nats, [dose]; one short pass a dose and prompt, no text."""
    per, out = max(1, ROWS // len(tokens.ids)), []
    for start in range(0, len(doses), per):
        some = doses[start : start + per]
        ids, mask = tokens.ids.repeat(len(some), 1), tokens.mask.repeat(len(some), 1)
        with applied_rows(model, [(dose,) for dose in some for _ in range(len(tokens.ids))]):
            logits = model.hf(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=1).logits[:, -1]
        out.append(tokens.odds(logits.unflatten(0, (len(some), -1))).mean(-1).cpu())
        advance(len(some))
    return torch.cat(out)
