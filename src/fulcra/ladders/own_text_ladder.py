"""The ceiling forecast that reads a few tokens of the dosed model's own: it generates, tier 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.degeneracy import surprised_share
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.search import bisected
from fulcra.ladders.surprise_ladder import SURPRISED_SHARE
from fulcra.ladders.surprises import surprises
from fulcra.models import Model
from fulcra.types import Edge, Edits, RolloutRequest, Sampling

#: Tokens that are generated after an opening.
TOKENS = 8
#: Far from the seeds of measured ceilings, so that forecast and measurement share no luck.
SEED = 1000
#: Rollouts held at once: their tokens are all that stays of them.
BATCH = 1024


@dataclass(frozen=True, slots=True)
class OwnText:
    """Openings that a dosed model goes on with by itself, and whose surprise its tokens are.

    `reference` is the model whose surprise judges coherence, `level` that of its standard [nats].
    """

    model: Model
    openings: tuple[tuple[int, ...], ...]
    reference: Model
    level: float

    def odd_shares(self, doses: Sequence[Edits], tokens: int = TOKENS) -> Tensor:
        """The share of odd tokens among the first `tokens` a dosed model writes, [dose].

        The mean over openings, those whose reply is empty left out; 1 where all are, and for a
        reply that met numbers that are not finite. Drawn at the temperature of measured ceilings.
        """
        per = max(1, BATCH // len(self.openings))
        parts = [self._shares(doses[i : i + per], tokens) for i in range(0, len(doses), per)]
        return torch.tensor([share for part in parts for share in part])

    def _shares(self, doses: Sequence[Edits], tokens: int) -> list[float]:
        sampling, count = Sampling(TEMPERATURE, SEED), len(self.openings)
        requests = [
            RolloutRequest(opening, edits, tokens, sampling.of_row(i))
            for edits in doses
            for i, opening in enumerate(self.openings)
        ]
        rollouts = run(self.model, requests)
        pairs = [(q.prompt, r.tokens) for q, r in zip(requests, rollouts, strict=True)]
        rows = zip(surprises(self.reference, pairs), rollouts, strict=True)
        odd = [surprised_share(row, self.level) if r.finite else 1.0 for row, r in rows]
        return [_mean(odd[i : i + count]) for i in range(0, len(odd), count)]


def _mean(shares: Sequence[float | None]) -> float:
    scored = [share for share in shares if share is not None]
    return fmean(scored) if scored else 1.0


def own_text_ladder(
    own: OwnText, branches: Sequence[Coordinate], gains: Sequence[float] = CEILING_GAINS
) -> list[Edge]:
    """The predicted ceiling of each branch: where .30 of its first 8 dosed tokens are odd.

    Tier 4: it rolls the branch itself out, from openings that no ceiling is measured on; no
    forecast of what was never dosed. The level is the judge's, nothing is fitted; censored where
    the share stays below it. Cost: len(branches) x log2(len(gains) + 1) x len(openings) rollouts of
    8 tokens, and a clean pass over them.
    """
    return bisected(
        branches,
        lambda doses: own.odd_shares([(dose,) for dose in doses]),
        gains,
        SURPRISED_SHARE,
        "own_text_ladder",
        tier=4,
    )
