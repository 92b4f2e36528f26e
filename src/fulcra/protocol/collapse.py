"""Measured ceilings of many branches at once, by bisected rungs (law.md section 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE
from fulcra.judges.coherence import CoherenceStandard, coherent
from fulcra.ladders.kl_ladder import CEILING_GAINS
from fulcra.ladders.search import crossings
from fulcra.law.edges import HALF
from fulcra.protocol.subject import Ground, surprises
from fulcra.types import Behavior, Edits, Rollout, RolloutRequest, Sampling

#: Length of a rollout whose collapse is looked for [tokens].
HORIZON = 32
#: The edits that dose one branch at a gain.
DoseAt = Callable[[float], Edits]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a ceiling is measured on: clean facts of a model, generic prompts as token ids."""

    ground: Ground
    prompts: tuple[tuple[int, ...], ...]
    standard: CoherenceStandard
    horizon: int = HORIZON

    @classmethod
    def of(
        cls, ground: Ground, behavior: Behavior, standard: CoherenceStandard | None = None
    ) -> "Bench":
        """The bench of a behavior's own openings, over its own horizon."""
        texts = behavior.ceiling_generic
        prompts = tuple(ground.model.prompt_ids(text, behavior.system) for text in texts)
        return cls(ground, prompts, standard or ground.standard, behavior.horizon)

    def lost(self, edits: Sequence[Edits], seed: int) -> list[float]:
        """The share of rollouts that have lost coherence under each set of edits.

        A prompt keeps its seed over all of them. Unscored rollouts stand apart; where no rollout is
        scored, nothing coherent is left: 1.
        """
        requests = [request for edit in edits for request in self._requests(edit, seed)]
        rollouts = run(self.ground.model, requests)
        verdicts = self._coherent(requests, rollouts)
        count = len(self.prompts)
        rows = [verdicts[start : start + count] for start in range(0, len(verdicts), count)]
        return [_share_lost(row) for row in rows]

    def _requests(self, edits: Edits, seed: int) -> list[RolloutRequest]:
        sampling = Sampling(TEMPERATURE, seed)
        return [
            RolloutRequest(prompt, edits, self.horizon, sampling.of_row(i))
            for i, prompt in enumerate(self.prompts)
        ]

    def _coherent(
        self, requests: Sequence[RolloutRequest], rollouts: Sequence[Rollout]
    ) -> list[bool | None]:
        pairs = [(q.prompt, r.tokens) for q, r in zip(requests, rollouts, strict=True)]
        new = [pair for pair in dict.fromkeys(pairs) if pair[1]]
        surprise = dict(zip(new, surprises(self.ground.reference, new), strict=True))
        verdicts: list[bool | None] = []
        for pair, rollout in zip(pairs, rollouts, strict=True):
            nats = surprise.get(pair, [])
            judged = coherent(rollout.tokens, nats, self.standard, rollout.ended)
            verdicts.append(judged.coherent if rollout.finite else False)
        return verdicts


def _share_lost(verdicts: Sequence[bool | None]) -> float:
    scored = [verdict for verdict in verdicts if verdict is not None]
    return 1 - sum(scored) / len(scored) if scored else 1.0


def measured_ceilings(
    bench: Bench, doses: Sequence[DoseAt], rungs: Sequence[int], seed: int = 0
) -> list[float | None]:
    """The gain at which half of each branch's rollouts have lost coherence; None beyond the ladder.

    `rungs` says how many first rungs of CEILING_GAINS exist. Cost: about 4 rungs of
    len(bench.prompts) rollouts a branch; the edge is that of the whole ladder wherever coherence,
    once lost, stays lost (`crossings`).
    """

    def measure(pairs: Sequence[tuple[int, int]]) -> list[float]:
        return bench.lost([doses[branch](CEILING_GAINS[rung]) for branch, rung in pairs], seed)

    return crossings(measure, rungs, CEILING_GAINS, HALF)
