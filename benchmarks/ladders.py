"""Both teacher-forced ladders against a full forward pass for every neuron, pole and gain."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from pairs import Row, compare
from setting import Size, coordinates, model
from torch import Tensor

from fulcra.behaviors import load_behavior
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.divergence import kl_nats
from fulcra.formulas.intervals import crossing
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.kl_ladder import LEVEL
from fulcra.ladders.trigger_ladder import Openings
from fulcra.types import Neuron, Prompt

#: Twenty-one gains of one ladder for both edges, a quarter of an octave apart.
GAINS = tuple(0.15 * 2 ** (i / 4) for i in range(21))
#: Texts and prompts of the pairs: the peer runs two full passes for each of 10,752 doses.
TEXTS, PROMPTS, TOKENS = 4, 2, 24
#: Neurons of one round.
PART = 32

Edges = list[tuple[float | None, float | None]]


def text(count: int = TEXTS) -> GenericText:
    """Generic texts of 24 tokens."""
    return continue_openings(
        model(), load_behavior("refusal").generic, seed=0, tokens=TOKENS
    ).first(count)


def prompts() -> tuple[Prompt, ...]:
    """Refused prompts with their openings."""
    return load_behavior("refusal").selection[:PROMPTS]


def ours(branches: Sequence[Coordinate], generic: GenericText) -> Edges:
    """Both edges of every branch by the ladders of fulcra."""
    ceilings = kl_ladder(model(), branches, generic, GAINS)
    triggers = trigger_ladder(model(), branches, Openings.of(model(), prompts()), GAINS)
    return [(c.gain, t.gain) for c, t in zip(ceilings, triggers, strict=True)]


class Padded:
    """Replies after their prompts as one right-padded batch, as a paper's code would hold them."""

    def __init__(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
        width = max(len(p) + len(r) for p, r in pairs)
        self.ids = torch.tensor(
            [p + r + (0,) * (width - len(p) - len(r)) for p, r in pairs], device=model().device
        )
        self.mask = torch.tensor(
            [[1] * (len(p) + len(r)) + [0] * (width - len(p) - len(r)) for p, r in pairs],
            device=model().device,
        )
        self.where = torch.tensor(
            [[len(p) - 1 <= i < len(p) + len(r) - 1 for i in range(width)] for p, r in pairs],
            device=model().device,
        )

    def logits(self) -> Tensor:
        """Logits [text, pos, vocab] of a full forward pass."""
        out: Tensor = (
            model().hf(input_ids=self.ids, attention_mask=self.mask, use_cache=False).logits
        )
        return out

    def log_probs(self, logits: Tensor) -> Tensor:
        """Log-probability [nats] of each reply as a whole, [text]."""
        tokens = logits[:, :-1].log_softmax(-1).gather(-1, self.ids[:, 1:, None])[..., 0]
        return (tokens * self.where[:, :-1]).sum(-1)


def peer(branches: Sequence[Coordinate], generic: GenericText) -> Edges:
    """A full forward pass for each branch and gain, on the texts and on the openings."""
    texts = Padded(list(zip(generic.prompts, generic.replies, strict=True)))
    clean = texts.logits()[texts.where]
    sides: list[list[list[tuple[tuple[int, ...], tuple[int, ...]]]]] = [[], []]
    for prompt in prompts():
        ids = model().prompt_ids(prompt.text)
        for side, openings in enumerate((prompt.target_openings, prompt.control_openings)):
            sides[side].append([(ids, model().reply_ids(opening)[:8]) for opening in openings])
    flat = Padded([pair for side in sides for group in side for pair in group])
    counts = [len(group) for side in sides for group in side]
    return [_edges(place, texts, clean, flat, counts) for place in branches]


def _edges(
    place: Coordinate, texts: Padded, clean: Tensor, openings: Padded, counts: list[int]
) -> tuple[float | None, float | None]:
    neuron, kl, odds = place.branch, [], []
    assert isinstance(neuron, Neuron)
    for gain in GAINS:
        alpha = place.dose(gain).value

        def hook(
            module: object, args: tuple[Tensor, ...], alpha: float = alpha
        ) -> tuple[Tensor, ...]:
            x = args[0].clone()
            x[..., neuron.index] += alpha
            return (x,)

        handle = model().down(neuron.layer).register_forward_pre_hook(hook)
        kl.append(float(kl_nats(clean, texts.logits()[texts.where]).mean()))
        sums = torch.stack(
            [group.logsumexp(0) for group in openings.log_probs(openings.logits()).split(counts)]
        ).view(2, -1)
        odds.append(float((sums[0] - sums[1]).mean()))
        handle.remove()
    return crossing(GAINS, kl, LEVEL), crossing(GAINS, odds, 0.0)


def poles(place: Coordinate) -> tuple[Coordinate, Coordinate]:
    """Both branches of a neuron."""
    assert isinstance(place.branch, Neuron)
    return place, replace(place, branch=place.branch.opposite, alignment0=-place.alignment0)


def near(left: float | None, right: float | None) -> bool:
    """Whether two edges are the same to one part in a thousand."""
    return left is right if left is None or right is None else abs(left / right - 1) < 1e-3


def agree(left: Edges, right: Edges) -> bool:
    """Whether both edges of every branch are the same."""
    return all(near(a[0], b[0]) and near(a[1], b[1]) for a, b in zip(left, right, strict=True))


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """One row: neurons at both poles, 32 of them a round."""
    if not wanted("ladders"):
        return []
    generic, neurons = text(), coordinates(size.ladder_neurons // model().n_layers)
    order = torch.randperm(len(neurons), generator=torch.Generator().manual_seed(0)).tolist()
    parts = [
        [pole for i in order[start : start + PART] for pole in poles(neurons[i])]
        for start in range(0, len(order), PART)
    ]
    ours(parts[0][:2], generic)
    work = [(partial(ours, part, generic), partial(peer, part, generic)) for part in parts]
    return [compare("ladders", "full forward per neuron, pole and gain", work, agree)]
