"""What more discovery prompts change: how far two draws of a screen's prompts agree, and what both
find.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulcra.behaviors.splits import texts_sha256
from fulcra.errors import Inconclusive
from fulcra.formulas.ranking import at_top, corrected_precision
from fulcra.models import Model
from fulcra.screens.branch_scores import branch_scores
from fulcra.screens.registry import Entrant
from fulcra.screens.scores import Clean
from fulcra.studies.census import Truth
from fulcra.types import Behavior, Discovery, Neuron, Prompt, Ranking

#: Discovery prompts that every screen learns from in turn.
COUNTS = (4, 8, 32, 100)


#: The first branches of a screen: those a sample measures, and whose overlap is its stability.
TOP = 32


@dataclass(frozen=True, slots=True)
class Field:
    """The measured branches: what is to be found among them, their weights, and the neuron each
    belongs to.
    """

    branches: tuple[Neuron, ...]
    found: NDArray[np.bool_]
    weights: NDArray[np.float64]
    clusters: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Truth]) -> "Field":
        """The field of rows with a weight; Inconclusive where nothing opened."""
        kept = [row for row in rows if row.weight > 0]
        branches = tuple(Neuron.parse(row.branch) for row in kept)
        sites = {
            site: i for i, site in enumerate(dict.fromkeys(branch.site for branch in branches))
        }
        found = np.array([row.found for row in kept], dtype=bool)
        if not found.any():
            raise Inconclusive(
                f"screens: none of {len(kept)} measured branches is specifically open, so no screen"
                " can be judged"
            )
        return cls(
            branches,
            found,
            np.array([row.weight for row in kept]),
            np.array([sites[branch.site] for branch in branches]),
        )


def pool(behavior: Behavior) -> Discovery:
    """Every prompt that screens may learn from: the splits' own, then the discovery prompts."""
    own = (behavior.positive, behavior.negative, behavior.selection)
    return Discovery(*(first + more for first, more in zip(own, behavior.discovery, strict=True)))


def pool_entry(behavior: Behavior) -> dict[str, Any]:
    """The pool in a result: the size of each set, and the hash of its texts."""
    found = pool(behavior)
    sizes = {name: len(prompts) for name, prompts in found._asdict().items()}
    return {**sizes, "sha256": texts_sha256(prompt.text for prompts in found for prompt in prompts)}


def resampled(behavior: Behavior, count: int, seed: int) -> Behavior:
    """The behavior with `count` prompts, at most as many as there are, drawn with replacement from
    each set of its pool.
    """

    def some(name: str, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        return tuple(random.Random(f"{name}-{seed}").choices(prompts, k=min(count, len(prompts))))

    positive, negative, selection = (
        some(name, prompts) for name, prompts in pool(behavior)._asdict().items()
    )
    return replace(behavior, positive=positive, negative=negative, selection=selection)


def stability(
    entrant: Entrant, model: Model, behavior: Behavior, clean: Clean, field: Field, seed: int
) -> dict[str, dict[str, float]]:
    """By the number of prompts: overlap of the top 32 of two draws of that many, and the mean
    recall and score of both.
    """
    by: dict[str, dict[str, float]] = {}
    largest = max(map(len, pool(behavior)))
    for count in (n for n in COUNTS if n <= largest):
        pair = [
            entrant.run(model, resampled(behavior, count, seed * 1_000_003 + draw), clean)
            for draw in (0, 1)
        ]
        by[str(count)] = _agreement(pair, field, False if entrant.sweeps else None)
    return by


def _agreement(pair: Sequence[Ranking], field: Field, one_pole: bool | None) -> dict[str, float]:
    scores = [branch_scores(ranking, field.branches, one_pole) for ranking in pair]
    first, second = (set(ranking.top(TOP)) for ranking in pair)
    return {
        "overlap": len(first & second) / max(1, min(len(first), len(second))),
        "recall": float(
            np.mean([at_top(one, field.found, field.weights, TOP)[0] for one in scores])
        ),
        "corrected_average_precision": float(
            np.mean([corrected_precision(one, field.found, field.weights) for one in scores])
        ),
    }
