"""Independent re-implementations in float64 numpy and exact arithmetic; they share no code with
fulcra.
"""

from collections import Counter
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray


def kl(clean: ArrayLike, dosed: ArrayLike) -> NDArray[np.float64]:
    """KL(clean || dosed) over the last axis from unnormalized logits."""
    p, q = (
        np.exp(x - x.max(-1, keepdims=True))
        for x in (np.asarray(clean, np.float64), np.asarray(dosed, np.float64))
    )
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return np.where(p > 0, p * np.log(np.where(p > 0, p / q, 1.0)), 0.0).sum(-1)


def angle_cosine(a: ArrayLike, b: ArrayLike) -> float:
    """The cosine of two vectors."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def rms_norm(x: ArrayLike, gamma: ArrayLike) -> NDArray[np.float64]:
    """RMSNorm without epsilon."""
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(gamma, dtype=np.float64) * x / np.sqrt(np.mean(x**2))


def distinct(tokens: list[int], n: int) -> Fraction:
    """The unique share of n-grams, counted."""
    counts = Counter(zip(*(tokens[i:] for i in range(n)), strict=False))
    return Fraction(len(counts), counts.total())


def effective_dimensions(samples: ArrayLike) -> float:
    """The participation ratio from the eigenvalues of the covariance."""
    spectrum = np.linalg.eigvalsh(np.cov(np.asarray(samples, dtype=np.float64), rowvar=False))
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())
