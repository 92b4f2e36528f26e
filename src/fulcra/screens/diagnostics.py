"""Whether contrast sets differ in meaning, or in length and vocabulary alone: warnings."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_ind

from fulcra.errors import BehaviorError
from fulcra.models import Model
from fulcra.screens.scores import require_contrast
from fulcra.types import Behavior

#: Below this p value the two sets differ in length.
LENGTH_P = 0.01
#: Held-out accuracy from which words alone tell the sets apart; a guess has one half.
SEPARABLE = 0.8
FOLDS = 5


class Diagnostics(NamedTuple):
    """How two contrast sets differ: token lengths, shared vocabulary (Jaccard), words.

    `words` is the held-out accuracy of a bag of words, nan with fewer than five prompts a side;
    `warnings` are sentences for a reader.
    """

    positive: int
    negative: int
    length_positive: float
    length_negative: float
    length_p: float
    shared_vocabulary: float
    words: float
    only_on_one_side: tuple[str, ...]
    warnings: tuple[str, ...]


def diagnose(model: Model, behavior: Behavior) -> Diagnostics:
    """How the two contrast sets differ before any model reads them.

    BehaviorError where one is empty, of one prompt, or equal to the other.
    """
    _check(model, behavior)
    sides = [
        [prompt.text for prompt in prompts] for prompts in (behavior.positive, behavior.negative)
    ]
    lengths = [[len(model.reply_ids(text)) for text in texts] for texts in sides]
    vocabularies = [set().union(*(text.casefold().split() for text in texts)) for texts in sides]
    shared = len(vocabularies[0] & vocabularies[1]) / len(vocabularies[0] | vocabularies[1])
    p = _length_p(*lengths)
    words, telling = _by_words(*sides), _telling(*sides)
    return Diagnostics(
        len(sides[0]),
        len(sides[1]),
        float(np.mean(lengths[0])),
        float(np.mean(lengths[1])),
        p,
        shared,
        words,
        telling,
        _warnings(lengths, p, words, telling),
    )


def _check(model: Model, behavior: Behavior) -> None:
    require_contrast(behavior, "contrast")
    for name, prompts in (("positive", behavior.positive), ("negative", behavior.negative)):
        if len(prompts) < 2:
            raise BehaviorError(
                f"behavior {behavior.name!r}: {name} holds one prompt, and one prompt has no mean;"
                " give two or more, 32 is usual"
            )
        empty = [prompt.id for prompt in prompts if not model.reply_ids(prompt.text)]
        if empty:
            raise BehaviorError(
                f"behavior {behavior.name!r}: prompt {empty[0]} has no tokens in {model.name};"
                " write it in its words or take it out"
            )


def _length_p(positive: Sequence[int], negative: Sequence[int]) -> float:
    """The p value of Welch's test; where no length varies, 1 if they agree and 0 if not."""
    if len(set(positive)) == len(set(negative)) == 1:
        return float(positive[0] == negative[0])
    # one side may be all of one length, of which scipy warns
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return float(ttest_ind(positive, negative, equal_var=False).pvalue)


def _by_words(positive: Sequence[str], negative: Sequence[str]) -> float:
    # loaded where it is used: most commands never come by
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    folds = min(FOLDS, len(positive), len(negative))
    if folds < FOLDS:
        return float("nan")
    reader = make_pipeline(CountVectorizer(token_pattern=r"\S+", binary=True), LogisticRegression())
    labels = np.array([1] * len(positive) + [0] * len(negative))
    return float(cross_val_score(reader, np.array([*positive, *negative]), labels, cv=folds).mean())


def _telling(positive: Sequence[str], negative: Sequence[str]) -> tuple[str, ...]:
    """Words that most prompts of one side hold and none of the other."""
    sides = [[set(text.casefold().split()) for text in texts] for texts in (positive, negative)]
    telling: set[str] = set()
    for side, other in (sides, sides[::-1]):
        exclusive = set().union(*side) - set().union(*other)
        telling |= {w for w in exclusive if sum(w in words for words in side) > len(side) / 2}
    return tuple(sorted(telling))


def _warnings(
    lengths: Sequence[Sequence[int]], p: float, words: float, telling: tuple[str, ...]
) -> tuple[str, ...]:
    warnings = []
    if p < LENGTH_P:
        means = f"{np.mean(lengths[0]):.1f} against {np.mean(lengths[1]):.1f} tokens"
        warnings.append(
            f"the sets differ in length ({means}, p {p:.2g}): neurons that read length will rank"
            " high"
        )
    if words >= SEPARABLE:
        warnings.append(
            f"words alone tell the sets apart on held-out prompts ({words:.0%}): a screen may find"
            " neurons of those words"
        )
    if telling:
        warnings.append(
            f"most prompts of one side hold {', '.join(telling[:5])} and none of the other does"
        )
    if len(lengths[0]) != len(lengths[1]):
        warnings.append(
            f"the sets differ in size ({len(lengths[0])} and {len(lengths[1])}); pairs beyond the"
            " smaller are left out of dla"
        )
    return tuple(warnings)
