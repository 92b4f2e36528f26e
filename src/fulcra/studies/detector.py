"""One neuron as a detector of its behavior's prompts, beside what costs more (paper C): all
thresholds from other prompts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fulcra.behaviors.labelled import Labelled
from fulcra.errors import InputError
from fulcra.formulas.detection import best_threshold, detection
from fulcra.models import Model, load
from fulcra.models.capture import last_residuals
from fulcra.models.classifiers import guard_odds, is_classifier, load_classifier
from fulcra.models.traces import traces
from fulcra.protocol.runs import SCHEMA_VERSION, model_entry, versions
from fulcra.store import plain
from fulcra.types import Neuron

Floats = NDArray[np.float64]
GUARD_WORDS = ("unsafe", "safe")


class Scored(NamedTuple):
    """One detector's scores on the fit and on the scored prompts, larger for positives, and what
    was chosen on the fit prompts.

    `threshold` is None where it is still to be found on the fit scores; trained detectors bring
    their own.
    """

    name: str
    fit: Floats
    score: Floats
    detail: str
    threshold: float | None = None


def detector(
    model: Model,
    neuron: Neuron,
    fit: Labelled,
    score: Labelled,
    system: str | None = None,
    guards: Sequence[str] = (),
    guard_words: tuple[str, str] = GUARD_WORDS,
    seed: int = 0,
    dtype: str | None = None,
) -> dict[str, Any]:
    """The neuron, logistic regression on its layer's stream, a bag of words and any guards as
    detectors of the same prompts.

    Direction, threshold and weights come from `fit` alone, every figure from `score`; InputError
    where they share a prompt. Cost: two clean passes over the prompts, and what the guards need.
    """
    if shared := set(fit.texts) & set(score.texts):
        raise InputError(
            f"detector: {min(shared)!r} is in {fit.name} and in {score.name}; fit and score on"
            " different prompts"
        )
    scored = [
        neuron_scores(model, neuron, fit, score, system),
        _stream(model, neuron.layer, fit, score, system),
        _words(fit, score),
    ]
    scored += [_guard(name, guard_words, fit, score, dtype) for name in guards]
    content: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "command": "detect",
            "model": model_entry(model),
            "neuron": neuron.site,
            "fit": fit.counts,
            "score": score.counts,
            "seed": seed,
            "detectors": [figures(one, fit, score, seed) for one in scored],
            "provenance": versions(),
        }
    )
    return content


def figures(one: Scored, fit: Labelled, score: Labelled, seed: int) -> dict[str, Any]:
    """A detector's entry in a result: what it is, its threshold, every figure with its interval."""
    threshold = (
        best_threshold(one.fit, np.array(fit.labels)) if one.threshold is None else one.threshold
    )
    found = detection(one.score, np.array(score.labels), threshold, seed)
    return {
        "detector": one.name,
        "detail": one.detail,
        "threshold": threshold,
        **{name: interval._asdict() for name, interval in found._asdict().items()},
    }


def neuron_scores(
    model: Model, neuron: Neuron, fit: Labelled, score: Labelled, system: str | None = None
) -> Scored:
    """The neuron's largest activation over the post-instruction positions where it is higher on
    positives, else minus its smallest.

    Which of the two is decided on the fit prompts. A token its expert does not see counts as 0.
    """
    seen = [_after_instruction(model, neuron, one.texts, system) for one in (fit, score)]
    mean, labels = np.array([values.mean() for values in seen[0]]), np.array(fit.labels)
    rises = mean[labels].mean() >= mean[~labels].mean()
    scores = [
        np.array([values.max() if rises else -values.min() for values in each]) for each in seen
    ]
    return Scored(
        neuron.site,
        scores[0],
        scores[1],
        "largest activation" if rises else "minus the smallest activation",
    )


def _after_instruction(
    model: Model, neuron: Neuron, texts: Sequence[str], system: str | None
) -> list[Floats]:
    rows = [model.prompt_ids(text, system) for text in texts]
    found = zip(rows, traces(model, [neuron], rows), strict=True)
    return [
        values[0, -model.after_instruction(row) :].nan_to_num(0.0).double().numpy()
        for row, values in found
    ]


def _stream(model: Model, layer: int, fit: Labelled, score: Labelled, system: str | None) -> Scored:
    # scikit-learn takes a second to import, which no other command should pay
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = (_residuals(model, layer, one.texts, system) for one in (fit, score))
    learnt = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, fit.labels)
    name = f"logistic regression, stream of layer {layer}"
    return Scored(
        name,
        learnt.decision_function(x),
        learnt.decision_function(y),
        "last prompt token, standardized, L2 with C = 1",
        0.0,
    )


def _residuals(model: Model, layer: int, texts: Sequence[str], system: str | None) -> Floats:
    batches = last_residuals(model, [model.prompt_ids(text, system) for text in texts])
    return torch.cat([batch[:, layer] for batch in batches]).double().numpy()


def _words(fit: Labelled, score: Labelled) -> Scored:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    learnt = make_pipeline(
        CountVectorizer(token_pattern=r"\w+|[^\w\s]"), LogisticRegression(max_iter=2000)
    ).fit(fit.texts, fit.labels)
    return Scored(
        "bag of words",
        learnt.decision_function(fit.texts),
        learnt.decision_function(score.texts),
        "counts, L2 with C = 1",
        0.0,
    )


def _guard(
    name: str, words: tuple[str, str], fit: Labelled, score: Labelled, dtype: str | None
) -> Scored:
    """A guard by its folder or hub id; of a classifier the label that tells the fit prompts apart
    best.
    """
    if not is_classifier(name):
        guard = load(name, dtype)
        odds = [guard_odds(guard, one.texts, words).double().numpy() for one in (fit, score)]
        return Scored(
            guard.name, odds[0], odds[1], f"log-odds of {words[0]!r} against {words[1]!r}"
        )
    classifier, labels = load_classifier(name), np.array(fit.labels)
    seen, told = (classifier.log_probs(one.texts).double().numpy() for one in (fit, score))
    label = max(range(seen.shape[1]), key=lambda i: detection(seen[:, i], labels, 0.0).auroc.value)
    return Scored(
        classifier.name,
        seen[:, label],
        told[:, label],
        f"log-probability of {classifier.labels[label]!r}",
    )
