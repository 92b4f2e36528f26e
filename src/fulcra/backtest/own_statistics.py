"""What a ladder could read of a dose on text that the dosed model writes itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from torch import Tensor

from fulcra.backtest.text_statistics import divergences, log_probs
from fulcra.engines.engine import run
from fulcra.engines.generic import TEMPERATURE
from fulcra.judges.coherence import Coherence, coherent
from fulcra.ladders.kl_ladder import TEXTS
from fulcra.ladders.own_text_ladder import SEED
from fulcra.ladders.passes import Texts, dosed_vectors
from fulcra.ladders.surprises import surprises
from fulcra.models import Model
from fulcra.organisms.domain import Domain
from fulcra.organisms.oracle import grammatical
from fulcra.protocol.collapse import HORIZON
from fulcra.protocol.subject import Ground
from fulcra.types import Edits, Rollout, RolloutRequest, Sampling

#: Tokens of its own that a ladder reads, horizons of a judged rollout, tokens of the greedy unroll.
READ, HORIZONS, UNROLLED = (4, 8, 16, 32), (8, 16, 32, 48), 8


class Reply(NamedTuple):
    """One rollout with its prompt, and the judge's surprise at each of its tokens [nats]."""

    prompt: tuple[int, ...]
    rollout: Rollout
    nats: list[float]


@dataclass(frozen=True, slots=True)
class OwnStatistics:
    """What is asked of rollouts from the openings that ceilings are forecast on.

    `domain` holds the exact grammar of an organism's world; None where there is none.
    """

    ground: Ground
    domain: Domain | None

    def statistics(self, doses: Sequence[Edits]) -> list[dict[str, float]]:
        """Every statistic under each dose; () is undosed."""
        if not doses:
            return []
        drawn = self._replies(doses, HORIZONS[-1], Sampling(TEMPERATURE, SEED))
        greedy = self._replies(doses, UNROLLED, Sampling())
        return [
            self._of_drawn(dose, replies) | self._of_greedy(dose, unrolled)
            for dose, replies, unrolled in zip(doses, drawn, greedy, strict=True)
        ]

    def _replies(
        self, doses: Sequence[Edits], horizon: int, sampling: Sampling
    ) -> list[list[Reply]]:
        """The replies under each dose, one an opening."""
        openings = self.ground.text.prompts[:TEXTS]
        requests = [
            RolloutRequest(prompt, edits, horizon, sampling.of_row(i))
            for edits in doses
            for i, prompt in enumerate(openings)
        ]
        rollouts = run(self.ground.model, requests)
        pairs = [(q.prompt, r.tokens) for q, r in zip(requests, rollouts, strict=True)]
        nats = surprises(self.ground.reference, pairs)
        rows = [Reply(p, r, n) for (p, _), r, n in zip(pairs, rollouts, nats, strict=True)]
        return [rows[i : i + len(openings)] for i in range(0, len(rows), len(openings))]

    def _of_drawn(self, dose: Edits, replies: Sequence[Reply]) -> dict[str, float]:
        odd = [[not n <= self.ground.standard.surprise_level for n in r.nats] for r in replies]
        values = {f"own_odd_{n}": _mean([_share(row[:n]) for row in odd], 1.0) for n in READ}
        kl, mass = self._along(dose, replies)
        values |= {f"own_kl_{n}": _mean([fmean(row[:n]) for row in kl], 0.0) for n in READ}
        values |= {f"own_mass_{n}": _mean([fmean(row[:n]) for row in mass], 1.0) for n in READ}
        return values | self._judged(replies) | _transitions([row[:HORIZON] for row in odd])

    def _of_greedy(self, dose: Edits, replies: Sequence[Reply]) -> dict[str, float]:
        kl, _ = self._along(dose, replies)
        return {f"unroll_kl_{UNROLLED}": _mean([fmean(row) for row in kl], 0.0)}

    def _along(
        self, dose: Edits, replies: Sequence[Reply]
    ) -> tuple[list[list[float]], list[list[float]]]:
        """KL(clean || dosed) [nats] and the chance of an odd token along each reply."""
        model, level = self.ground.model, self.ground.standard.surprise_level
        pairs = [(r.prompt, r.rollout.tokens[: READ[-1]]) for r in replies if r.rollout.tokens]
        if not pairs:
            return [], []
        texts = Texts.of_pairs(model, *zip(*pairs, strict=True))
        clean, dosed = _both(model, texts, dose)
        log_clean = log_probs(model, clean)
        nats = divergences(log_clean, log_probs(model, dosed))
        mass = (log_probs(model, dosed, TEMPERATURE).exp() * (-log_clean > level)).sum(-1)
        return _by_text(nats, texts), _by_text(mass.nan_to_num(nan=1.0), texts)

    def _judged(self, replies: Sequence[Reply]) -> dict[str, float]:
        """What the judge says at every horizon, by which sign, and what the grammar says."""
        standard = self.ground.standard
        values = {f"lost_{n}": _share([not c for c in self._calls(replies, n)]) for n in HORIZONS}
        verdicts = [self._verdict(reply, HORIZON) for reply in replies]
        surprised = [(v.surprised or 0.0) > standard.surprised_share for v in verdicts]
        looped = [v.distinct is not None and v.distinct < standard.distinct_floor for v in verdicts]
        values["by_surprise"] = _share(surprised)
        values["by_loop"] = _share(looped)
        signs = zip(surprised, looped, strict=True)
        values["by_loop_alone"] = _share([loop and not odd for odd, loop in signs])
        values["tokens"] = fmean(len(reply.rollout.tokens) for reply in replies)
        if self.domain is not None:
            values["broken"] = _share([not self._grammatical(r, self.domain) for r in replies])
        return {name: 1.0 if value is None else value for name, value in values.items()}

    def _calls(self, replies: Sequence[Reply], horizon: int) -> list[bool]:
        """Whether each scored reply is coherent at a horizon."""
        calls = [
            self._verdict(reply, horizon).coherent if reply.rollout.finite else False
            for reply in replies
        ]
        return [call for call in calls if call is not None]

    def _verdict(self, reply: Reply, horizon: int) -> Coherence:
        cut = reply.rollout.cut(horizon)
        return coherent(cut.tokens, reply.nats[:horizon], self.ground.standard, cut.ended)

    def _grammatical(self, reply: Reply, domain: Domain) -> bool:
        cut = reply.rollout.cut(HORIZON)
        return grammatical(domain, self.ground.model.words(cut.tokens), cut.ended)


def _both(model: Model, texts: Texts, dose: Edits) -> tuple[Tensor, Tensor]:
    """Undosed and dosed final vectors, [position, d_model] each."""
    rows: dict[int, Tensor] = {}
    for places, vectors in dosed_vectors(model, texts, [None, dose]):
        rows.update(zip(places, vectors, strict=True))
    return rows[0], rows[1]


def _by_text(values: Tensor, texts: Texts) -> list[list[float]]:
    rows = values.cpu().split(texts.where.sum(-1).tolist())
    return [row.tolist() for row in rows if len(row)]


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _mean(values: Sequence[float | None], empty: float) -> float:
    scored = [value for value in values if value is not None]
    return fmean(scored) if scored else empty


def _transitions(odd: Sequence[Sequence[bool]]) -> dict[str, float]:
    """How often a token is odd after one that is not, and after one that is; none where unseen."""
    after: dict[bool, list[bool]] = {False: [], True: []}
    for row in odd:
        for first, second in pairwise(row):
            after[first].append(second)
    names = {False: "odd_after_sound", True: "odd_after_odd"}
    return {names[k]: sum(rows) / len(rows) for k, rows in after.items() if rows}
