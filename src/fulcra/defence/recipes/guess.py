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

    Guess and error are in octaves; beside the guess stands the median of the other ways. Rows whose
    audit has not all that is read are left out; None of fewer than two ways.
    """
    read = [(row, audit) for row in rows if (audit := _of(row)) is not None]
    if len({row.way for row, _ in read}) < 2:
        return None
    audits = _standard([audit for _, audit in read])
    ways, octaves = [row.way for row, _ in read], np.log2([row.freedom for row, _ in read])
    guesses, middles = [], []
    for own, way in zip(audits, ways, strict=True):
        others = np.array([other != way for other in ways])
        far = np.linalg.norm(audits[others] - own, axis=1)
        # those at the distance of the last one count together: their order is that of a file
        near = far <= np.sort(far)[:NEAREST][-1] + 1e-9
        guesses.append(float(octaves[others][near].mean()))
        middles.append(_middle(ways, octaves, way))
    return FreedomGuess(
        error=_error(guesses, octaves),
        error_of_middle=_error(middles, octaves),
        rank=RankCorrelation(**spearman(guesses, octaves, seed)._asdict()),
    )


def _middle(ways: Sequence[str], octaves: Floats, own: str) -> float:
    """The median of the other ways, each counted once by the median of its organisms."""
    others = dict.fromkeys(way for way in ways if way != own)
    return float(np.median([np.median(octaves[np.array(ways) == way]) for way in others]))


def _of(row: RecipeRow) -> list[float] | None:
    """What an audit says: shares, attacks, and its smallest open gain in octaves.

    None where an attack was not measured.
    """
    rates = {each.attack: each.rate for each in row.audit.attacks}
    measured = [rate for name in READ if (rate := rates.get(name)) is not None]
    if len(measured) < len(READ):
        return None
    gain = row.audit.smallest_open_gain or NOTHING_OPENS
    return [row.share, math.log2(gain), *measured]


def _standard(rows: Sequence[Sequence[float]]) -> Floats:
    """The columns with mean 0 and deviation 1; one that does not vary is 0."""
    values = np.asarray(rows, float)
    spread = values.std(0)
    scaled: Floats = (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _error(guesses: Sequence[float], truths: Floats) -> float:
    return float(np.mean(np.abs(np.subtract(guesses, truths))))
