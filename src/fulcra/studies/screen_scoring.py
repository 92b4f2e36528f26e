"""How well a screen finds what opens, and how far two draws of its prompts agree."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.behaviors.splits import texts_sha256
from fulcra.errors import Inconclusive
from fulcra.formulas.classification import auroc
from fulcra.formulas.ranking import (
    at_top,
    average_precision,
    corrected_precision,
    ranking_interval,
)
from fulcra.protocol.results.census import MeasuredBranch
from fulcra.protocol.results.screen_scores import Pool, ScreenScore, Stability
from fulcra.protocol.subject import Subject
from fulcra.screens.branch_scores import branch_scores
from fulcra.screens.registry import Entrant
from fulcra.types import Behavior, Discovery, Neuron, Prompt, Ranking

#: Discovery prompts that every screen learns from in turn.
COUNTS = (4, 8, 32, 100)
#: The first branches of a screen: those a sample measures, and whose overlap is its stability.
TOP = 32
#: Where recall and precision are read.
TOPS = (8, 32, 128)


@dataclass(frozen=True, slots=True)
class Relevance:
    """What a ranking is judged by, [branch] each.

    `relevant` marks the branches it should put first (specifically open ones), `weights` says how
    many branches of the model each stands for, `clusters` which neuron it belongs to.
    """

    branches: tuple[Neuron, ...]
    relevant: NDArray[np.bool_]
    weights: NDArray[np.float64]
    clusters: NDArray[np.int64]

    @classmethod
    def of(cls, measured: Sequence[MeasuredBranch]) -> "Relevance":
        """That of the branches with a weight; Inconclusive where none is specifically open."""
        weighted = [branch for branch in measured if branch.weight > 0]
        relevant = np.array([branch.relevant for branch in weighted], dtype=bool)
        if not relevant.any():
            raise Inconclusive(
                f"screens: none of {len(weighted)} measured branches is specifically open, so no"
                " screen can be judged"
            )
        branches = tuple(Neuron.parse(branch.branch) for branch in weighted)
        places = {site: i for i, site in enumerate(dict.fromkeys(n.site for n in branches))}
        weights = np.array([branch.weight for branch in weighted])
        return cls(branches, relevant, weights, np.array([places[n.site] for n in branches]))

    @property
    def layers(self) -> NDArray[np.int64]:
        """The layer of every branch."""
        return np.array([branch.layer for branch in self.branches])


class Ranked(NamedTuple):
    """A screen that ran, its ranking, and the CPU seconds that it took."""

    entrant: Entrant
    ranking: Ranking
    seconds: float


def pool(behavior: Behavior) -> Discovery:
    """Every prompt that screens may learn from: the splits' own, then the discovery prompts."""
    own = (behavior.positive, behavior.negative, behavior.selection)
    return Discovery(*(first + more for first, more in zip(own, behavior.discovery, strict=True)))


def pool_entry(behavior: Behavior) -> Pool:
    """The pool in a result: the size of each set, and the hash of its texts."""
    sets = pool(behavior)
    sha256 = texts_sha256(prompt.text for prompts in sets for prompt in prompts)
    return Pool(
        positive=len(sets.positive),
        negative=len(sets.negative),
        selection=len(sets.selection),
        sha256=sha256,
    )


def resampled(behavior: Behavior, count: int, seed: int) -> Behavior:
    """The behavior with `count` prompts drawn with replacement from each set of its pool.

    Of a set that has fewer, as many as it has.
    """

    def drawn(name: str, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        return tuple(random.Random(f"{name}-{seed}").choices(prompts, k=min(count, len(prompts))))

    sets = pool(behavior)
    return replace(
        behavior,
        positive=drawn("positive", sets.positive),
        negative=drawn("negative", sets.negative),
        selection=drawn("selection", sets.selection),
    )


def stability(subject: Subject, entrant: Entrant, truth: Relevance) -> dict[str, Stability]:
    """How far two draws of a screen's prompts agree, by their number."""
    behavior, seed = subject.behavior, subject.seed * 1_000_003
    largest = max(map(len, pool(behavior)))
    agreements: dict[str, Stability] = {}
    for count in COUNTS:
        if count <= largest:
            first, second = (
                entrant.run(subject.model, resampled(behavior, count, seed + draw), subject.clean)
                for draw in (0, 1)
            )
            agreements[str(count)] = _agreement(entrant, (first, second), truth)
    return agreements


def scores_of(entrant: Entrant, ranking: Ranking, truth: Relevance) -> NDArray[np.float64]:
    """The place of every judged branch in a ranking as a score, higher is better, [branch]."""
    return branch_scores(ranking, truth.branches, False if entrant.sweeps else None)


def _agreement(entrant: Entrant, pair: tuple[Ranking, Ranking], truth: Relevance) -> Stability:
    first, second = (set(ranking.top(TOP)) for ranking in pair)
    scores = [scores_of(entrant, ranking, truth) for ranking in pair]
    marks = (truth.relevant, truth.weights)
    recall = [at_top(each, *marks, TOP)[0] for each in scores]
    precision = [corrected_precision(each, *marks) for each in scores]
    return Stability(
        overlap=len(first & second) / max(1, min(len(first), len(second))),
        recall=float(np.mean(recall)),
        corrected_average_precision=float(np.mean(precision)),
    )


def score(
    subject: Subject, entry: Ranked, truth: Relevance, agreements: dict[str, Stability]
) -> ScreenScore:
    """The score of one screen; `agreements` is its stability by the number of prompts."""
    entrant, ranking, seconds = entry
    scores = scores_of(entrant, ranking, truth)
    marks = (scores, truth.relevant, truth.weights)
    corrected = ranking_interval(corrected_precision, *marks, truth.clusters, subject.seed)
    area = ranking_interval(auroc, *marks, truth.clusters, subject.seed)
    tops = {str(k): at_top(*marks, k) for k in TOPS}
    first, layers = ranking.top(TOP), subject.model.n_layers
    late = sum(branch.layer >= layers - max(1, layers // 4) for branch in first)
    return ScreenScore(
        screen=entrant.name,
        units=entrant.units,
        kind=entrant.kind,
        average_precision=average_precision(*marks),
        corrected_average_precision=corrected.value,
        low=corrected.low,
        high=corrected.high,
        auroc=area.value,
        auroc_low=area.low,
        auroc_high=area.high,
        recall_at={k: recall for k, (recall, _) in tops.items()},
        precision_at={k: precision for k, (_, precision) in tops.items()},
        late_share=late / len(first),
        listed=len(ranking.branches),
        top=tuple(map(str, ranking.top(8))),
        seconds=seconds,
        stability=agreements[max(agreements, key=int)].overlap if agreements else None,
        by_prompts=agreements,
    )
