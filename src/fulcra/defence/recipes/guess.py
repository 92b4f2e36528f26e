"""How concentrated a behavior is, guessed from an audit: the freedom of the change behind it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fulcra.defence.hardened import SideEntry
from fulcra.defence.recipes.entries import FreedomGuess, RecipeRow, RecipesResult
from fulcra.errors import Inconclusive
from fulcra.formulas.rank_correlation import spearman
from fulcra.protocol.results.organism_ladder import RankCorrelation

Floats = NDArray[np.float64]
#: Organisms of other ways, nearest by what their audits say, whose freedom is taken for a guess.
NEAREST = 3
#: The gain at which a model counts that nothing opens: an octave above the largest that is dosed.
NOTHING_OPENS = 4.8
#: The attacks that are read beside the windows.
READ = ("prefill_1", "direction_ablation")


class Guess(NamedTuple):
    """The freedom [effective ranks] of the change behind one behavior, guessed from its audit.

    `error` is what such guesses are off in the study [octaves, mean], `error_of_middle` what the
    median of its ways is: a guess is worth what lies between them.
    """

    freedom: float
    error: float
    error_of_middle: float


def guess_of(audit: SideEntry, study: RecipesResult) -> Guess:
    """The guess from one's own audit (`audit_side` of its result), by the organisms of a study.

    How far it is off for models unlike those of the study nobody has measured. Inconclusive where
    the audit draws no verdict or lacks an attack that is read, or the study has no guesses.
    """
    own = _of(audit) if audit.reproduced else None
    if own is None:
        raise Inconclusive(
            f"audit {audit.side}: no guess of its freedom, which takes an audit that draws a"
            f" verdict and has {' and '.join(READ)}; measure these"
        )
    if study.guess is None:
        raise Inconclusive(
            f"study {study.design.name}: no guess was tried, which takes sound audits of two ways;"
            " read another study"
        )
    rows = [row for row in study.rows if row.audit.reproduced and _of(row.audit) is not None]
    audits = _standard([*(_of(row.audit) or [] for row in rows), own])
    octaves = _nearest(audits[-1], audits[:-1], np.log2([row.freedom for row in rows]))
    return Guess(2.0**octaves, study.guess.error, study.guess.error_of_middle)


def freedom_guess(rows: Sequence[RecipeRow], seed: int) -> FreedomGuess | None:
    """How well the freedom of each organism is guessed from organisms of other ways.

    Guess and error are in octaves; beside the guess stands the median of the other ways. Rows whose
    audit has not all that is read are left out; None of fewer than two ways.
    """
    read = [(row, audit) for row in rows if (audit := _of(row.audit)) is not None]
    if len({row.way for row, _ in read}) < 2:
        return None
    audits = _standard([audit for _, audit in read])
    ways, octaves = [row.way for row, _ in read], np.log2([row.freedom for row, _ in read])
    guesses, middles = [], []
    for own, way in zip(audits, ways, strict=True):
        others = np.array([other != way for other in ways])
        guesses.append(_nearest(own, audits[others], octaves[others]))
        middles.append(_middle(ways, octaves, way))
    return FreedomGuess(
        error=_error(guesses, octaves),
        error_of_middle=_error(middles, octaves),
        rank=RankCorrelation(**spearman(guesses, octaves, seed)._asdict()),
    )


def _nearest(own: Floats, audits: Floats, octaves: Floats) -> float:
    """The mean octaves of the audits nearest to one's own."""
    far = np.linalg.norm(audits - own, axis=1)
    # those at the distance of the last one count together: their order is that of a file
    near = far <= np.sort(far)[:NEAREST][-1] + 1e-9
    return float(octaves[near].mean())


def _middle(ways: Sequence[str], octaves: Floats, own: str) -> float:
    """The median of the other ways, each counted once by the median of its organisms."""
    others = dict.fromkeys(way for way in ways if way != own)
    return float(np.median([np.median(octaves[np.array(ways) == way]) for way in others]))


def _of(audit: SideEntry) -> list[float] | None:
    """What an audit says: shares, attacks, and its smallest open gain in octaves.

    None where an attack was not measured.
    """
    rates = {each.attack: each.rate for each in audit.attacks}
    measured = [rate for name in READ if (rate := rates.get(name)) is not None]
    if len(measured) < len(READ):
        return None
    gain = audit.smallest_open_gain or NOTHING_OPENS
    return [audit.open_screened / audit.screened, math.log2(gain), *measured]


def _standard(rows: Sequence[Sequence[float]]) -> Floats:
    """The columns with mean 0 and deviation 1; one that does not vary is 0."""
    values = np.asarray(rows, float)
    spread = values.std(0)
    scaled: Floats = (values - values.mean(0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def _error(guesses: Sequence[float], truths: Floats) -> float:
    return float(np.mean(np.abs(np.subtract(guesses, truths))))
