"""Ceilings of many branches at once, their rungs bisected on rollouts (law.md section 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fulcra.engines.generic import TEMPERATURE
from fulcra.engines.local import run
from fulcra.judges.coherence import CoherenceStandard, coherent
from fulcra.ladders.kl_ladder import GAINS
from fulcra.ladders.search import crossings
from fulcra.models import Model
from fulcra.protocol.subject import surprises
from fulcra.types import Edits, Rollout, RolloutRequest, Sampling
from fulcra.window.edges import HALF

#: Length of a rollout whose collapse is looked for [tokens].
HORIZON = 32
#: The edits that dose one branch at a gain.
Dose = Callable[[float], Edits]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a ceiling is measured on: a model, generic prompts as token ids, whose surprise judges,
    and the standard.
    """

    model: Model
    prompts: tuple[tuple[int, ...], ...]
    reference: Model
    standard: CoherenceStandard
    horizon: int = HORIZON

    def lost(self, edits: Sequence[Edits], seed: int) -> list[float]:
        """The share of rollouts that have lost coherence under each set of edits; a prompt keeps
        its seed over all of them.

        Unscored rollouts stand apart; where no rollout is scored, nothing coherent is left: 1.
        """
        sampled = [Sampling(TEMPERATURE, seed * 1_000_003 + i) for i in range(len(self.prompts))]
        requests = [
            RolloutRequest(p, e, self.horizon, s)
            for e in edits
            for p, s in zip(self.prompts, sampled, strict=True)
        ]
        rollouts = run(self.model, requests)
        found = self._coherent([(r.prompt, o) for r, o in zip(requests, rollouts, strict=True)])
        rows = [
            found[start : start + len(self.prompts)]
            for start in range(0, len(found), len(self.prompts))
        ]
        return [_share_lost([one for one in row if one is not None]) for row in rows]

    def _coherent(self, said: Sequence[tuple[tuple[int, ...], Rollout]]) -> list[bool | None]:
        pairs = list(
            dict.fromkeys((prompt, rollout.tokens) for prompt, rollout in said if rollout.tokens)
        )
        surprise = dict(zip(pairs, surprises(self.reference, pairs), strict=True))
        return [
            self._judged(prompt, rollout, surprise.get((prompt, rollout.tokens), []))
            for prompt, rollout in said
        ]

    def _judged(
        self, prompt: tuple[int, ...], rollout: Rollout, surprise: Sequence[float]
    ) -> bool | None:
        if not rollout.finite:
            return False
        return coherent(rollout.tokens, surprise, self.standard, rollout.ended).coherent


def _share_lost(scored: Sequence[bool]) -> float:
    return 1 - sum(scored) / len(scored) if scored else 1.0


def measured_ceilings(
    bench: Bench, doses: Sequence[Dose], rungs: Sequence[int], seed: int = 0
) -> list[float | None]:
    """The gain at which half of the rollouts have lost coherence, of each branch; None beyond the
    ladder.

    `rungs` says how many first rungs of GAINS exist. Cost: about 4 rungs of len(bench.prompts)
    rollouts a branch; the edge is that of the whole ladder wherever coherence, once lost, stays
    lost (`crossings`).
    """

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        return bench.lost([doses[branch](GAINS[rung]) for branch, rung in pairs], seed)

    return crossings(measure, rungs, GAINS, HALF)
