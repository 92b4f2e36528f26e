"""Two signs of lost coherence in one rollout: repetition and surprise (law.md section 5)."""

from collections.abc import Hashable, Sequence


def distinct_ngram_ratio(tokens: Sequence[Hashable], n: int) -> float | None:
    """The unique share of the `n`-grams, in (0, 1].

    None (unscored, not perfect) with fewer than `n` tokens. Paper B's quality takes word 4-grams;
    words or token ids do here.
    """
    ngrams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else None


def surprised_share(surprise: Sequence[float], level: float) -> float | None:
    """The share of tokens whose surprise [nats] is above `level` or not finite.

    None without tokens.
    """
    return sum(not value <= level for value in surprise) / len(surprise) if len(surprise) else None
