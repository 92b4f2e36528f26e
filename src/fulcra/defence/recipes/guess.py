"""How concentrated a behavior is, guessed from an audit: the freedom of the change behind it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.defence.recipes.entries import FreedomGuess, RecipeRow
from fulcra.formulas.rank_correlation import spearman
from fulcra.protocol.results.organism_ladder import RankCorrelation

Floats = NDArray[np.float64]
#: Organisms of other ways, nearest by what their audits say, whose freedom is taken for a guess.
NEAREST = 3
#: The gain at which a model counts that nothing opens: an octave above the largest that is dosed.
NOTHING_OPENS = 4.8
#: The attacks that are read beside the windows.
READ = ("prefill_1", "direction_ablation")


def freedom_guess(rows: Sequence[RecipeRow], seed: int) -> FreedomGuess | None:
    """How well the freedom of each organism is guessed from organisms of other ways.

    Guess and error are in octaves; beside the guess stands the median of the other ways. None of
    fewer than two ways.
    """
    if len({row.way for row in rows}) < 2:
        return None
    audits, octaves = (
        _standard([_of(row) for row in rows]),
        [math.log2(row.freedom) for row in rows],
    )
    guesses, middles = [], []
    for own, row in zip(audits, rows, strict=True):
        others = [place for place, other in enumerate(rows) if other.way != row.way]
        near = sorted(others, key=lambda place: float(np.linalg.norm(audits[place] - own)))
        guesses.append(float(np.mean([octaves[place] for place in near[:NEAREST]])))
        middles.append(float(np.median([octaves[place] for place in others])))
    return FreedomGuess(
        error=_error(guesses, octaves),
        error_of_middle=_error(middles, octaves),
        rank=RankCorrelation(**spearman(guesses, octaves, seed)._asdict()),
    )


def _of(row: RecipeRow) -> list[float]:
    """What an audit says: shares, attacks, and its smallest open gain in octaves."""
    audit = row.audit
    rates = {each.attack: each.rate for each in audit.attacks}
    gain = audit.smallest_open_gain or NOTHING_OPENS
    return [row.share, math.log2(gain), *(rates.get(name) or 0.0 for name in READ)]


def _standard(rows: Sequence[Sequence[float]]) -> Floats:
    """The columns with mean 0 and deviation 1; one that does not vary is 0."""
    values = np.asarray(rows, float)
    spread = values.std(0)
    scaled: Floats = (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _error(guesses: Sequence[float], truths: Sequence[float]) -> float:
    return float(np.mean(np.abs(np.subtract(guesses, truths))))
