"""A ranking as scores of all branches: screens that list few of them become comparable."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.types import Neuron, Ranking


def branch_scores(
    ranking: Ranking, branches: Sequence[Neuron], one_pole: bool | None = None
) -> NDArray[np.float64]:
    """The place of each branch as a score, higher is better, [branch].

    A listed branch keeps its order. Where a screen lists one pole of a neuron it says the opposite
    of the other: the other poles follow in reverse, and neurons it does not list at all stand
    between the two, tied. Where it judges each pole for itself, what it does not list comes last,
    tied. None: by whether it lists both poles of any neuron.
    """
    place = {branch: i for i, branch in enumerate(ranking.branches)}
    if one_pole is None:
        one_pole = not any(branch.opposite in place for branch in ranking.branches)
    count, scores = len(place), np.zeros(len(branches))
    for i, branch in enumerate(branches):
        if branch in place:
            scores[i] = count - place[branch]
        elif one_pole and branch.opposite in place:
            scores[i] = place[branch.opposite] - count
    return scores
