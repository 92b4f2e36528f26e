"""The window screen: every branch's trigger forecast from one next token, the shortlist ranked by its predicted margin."""

from collections.abc import Callable, Sequence
from os.path import commonprefix

import torch
from torch import Tensor

from fulcra.engines.generic import GenericText
from fulcra.errors import BehaviorError
from fulcra.formulas.divergence import log_odds
from fulcra.formulas.intervals import crossing, log2_margin
from fulcra.ladders import kl_ladder
from fulcra.models import Model, applied_rows
from fulcra.models.capture import Stream, padded, positions_of
from fulcra.models.coordinate import Coordinate, coordinate
from fulcra.types import Behavior, Edit, Neuron, Prompt, Ranking

#: Two rungs suffice to order branches: one where few flip and one near the usual ceiling.
GAINS = (0.45, 0.8)
#: Branches whose ceilings are forecast too, as a multiple of what is asked for.
SHORTLIST = 4
ROWS = 1024


class NextTokens:
    """The one token at which target and control openings part, for some prompts: ids and mask [prompt, pos] and both sides."""

    def __init__(self, model: Model, prompts: Sequence[Prompt], system: str | None = None) -> None:
        rows, self.sides = [], []
        for prompt in prompts:
            targets = [model.reply_ids(words) for words in prompt.target_openings]
            controls = [model.reply_ids(words) for words in prompt.control_openings]
            if not targets or not controls or not all(targets + controls):
                raise BehaviorError(f"prompt {prompt.id}: the window screen needs target and control openings with tokens; give both")
            shared = len(commonprefix([tuple(opening) for opening in targets + controls]))
            shared = min(shared, min(map(len, targets + controls)) - 1)
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


def _forecasts(odds: Tensor) -> list[float | None]:
    """Trigger gain by log-interpolation, for rows of log-odds on the two rungs."""
    return [crossing(GAINS, row, 0.0) for row in odds.tolist()]


def window(model: Model, behavior: Behavior, clean: Stream, text: GenericText, neurons: Sequence[Neuron], count: int, advance: Callable[[int], None] = lambda done: None) -> Ranking:
    """Branches of `neurons` by descending predicted margin log2(ceiling / trigger), then by log-odds; tier 2, no rollouts.

    The trigger of both poles is forecast on the selection split for every neuron; for the best 4 x `count` the ceiling
    too. Cost: 4 short passes a neuron and prompt, and 13 passes over 16 texts for the shortlist.
    """
    branches = [coordinate(model, clean, branch) for neuron in neurons for branch in (neuron, neuron.opposite)]
    tokens = NextTokens(model, behavior.selection, behavior.system)
    odds = next_token_odds(model, tokens, [at.dose(gain) for at in branches for gain in GAINS], advance).unflatten(0, (-1, len(GAINS)))
    triggers, best = _forecasts(odds), odds.amax(-1).tolist()
    order = sorted(range(len(branches)), key=lambda i: (triggers[i] if triggers[i] is not None else float("inf"), -best[i]))
    short = order[: SHORTLIST * count]
    margins = dict(zip(short, _margins(model, [branches[i] for i in short], [triggers[i] for i in short], text), strict=True))
    final = sorted(short, key=lambda i: -margins[i]) + order[len(short) :]
    names = [at.branch for at in branches if isinstance(at.branch, Neuron)]
    return Ranking("window", tuple(names[i] for i in final), tuple(margins.get(i, best[i] - 1e3) for i in final))


def _margins(model: Model, branches: Sequence[Coordinate], triggers: Sequence[float | None], text: GenericText) -> list[float]:
    """Predicted margins; a trigger beyond the rungs counts as twice the last one, a ceiling beyond its ladder as its last rung."""
    margins = []
    for trigger, ceiling in zip(triggers, kl_ladder(model, branches, text), strict=True):
        margins.append(log2_margin(ceiling.gain or 5.0, trigger or 2 * GAINS[-1]) or 0.0)
    return margins
