"""One neuron as a detector of its behavior's prompts, beside detectors that cost more (paper C).

All thresholds and weights come from other prompts than the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.detector import (
    DetectorEstimate,
    DetectorFigures,
    DetectorResult,
    PromptSet,
)
from fulcra.protocol.runs import model_entry
from fulcra.types import Neuron

SCHEMA_VERSION = 1
Floats = NDArray[np.float64]
GUARD_WORDS = ("unsafe", "safe")


@dataclass(frozen=True, slots=True)
class FitAndScore:
    """Prompts that decide directions, weights and thresholds, and prompts that are scored."""

    fit: Labelled
    score: Labelled
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Guards:
    """Guard models by folder or hub id, loaded in `dtype` on `device`.

    A generative one says the first of `words` of positives.
    """

    names: tuple[str, ...] = ()
    words: tuple[str, str] = GUARD_WORDS
    dtype: str | None = None
    device: str = "cpu"


class DetectorScores(NamedTuple):
    """One detector's scores on the fit and on the scored prompts, larger for positives.

    `detail` is what was chosen on the fit prompts. `threshold` is None where it is still to be
    found on the fit scores; trained detectors bring their own.
    """

    name: str
    fit: Floats
    score: Floats
    detail: str
    threshold: float | None = None


def detector(
    model: Model,
    neuron: Neuron,
    prompts: FitAndScore,
    guards: Guards = Guards(),
    seed: int = 0,
) -> DetectorResult:
    """The neuron, a probe of its layer's stream, a bag of words and any guards as detectors.

    Direction, threshold and weights come from `prompts.fit` alone, every figure from
    `prompts.score`; InputError where they share a prompt. Cost: two clean passes over the prompts,
    and what the guards need.
    """
    fit, score = prompts.fit, prompts.score
    if shared := set(fit.texts) & set(score.texts):
        raise InputError(
            f"detector: {min(shared)!r} is in {fit.name} and in {score.name}; fit and score on"
            " different prompts"
        )
    detectors = [
        neuron_scores(model, neuron, prompts),
        _stream(model, neuron.layer, prompts),
        _words(prompts),
        *(_guard(name, guards, prompts) for name in guards.names),
    ]
    result = DetectorResult(
        schema_version=SCHEMA_VERSION,
        command="detect",
        model=model_entry(model),
        neuron=neuron.site,
        fit=prompt_set(fit),
        score=prompt_set(score),
        seed=seed,
        detectors=tuple(figures(scored, prompts, seed) for scored in detectors),
        provenance=Provenance.now(),
    )
    return DetectorResult.of(result.plain())


def prompt_set(prompts: Labelled) -> PromptSet:
    """Labelled prompts as results hold them."""
    return PromptSet.model_validate(prompts.counts)


def figures(scored: DetectorScores, prompts: FitAndScore, seed: int) -> DetectorFigures:
    """A detector's entry in a result: what it is, its threshold, every figure with its interval."""
    threshold = scored.threshold
    if threshold is None:
        threshold = best_threshold(scored.fit, np.array(prompts.fit.labels))
    intervals = detection(scored.score, np.array(prompts.score.labels), threshold, seed)
    estimates = {
        name: DetectorEstimate(value=value, low=low, high=high, n=n)
        for name, (value, low, high, n) in intervals._asdict().items()
    }
    return DetectorFigures(
        detector=scored.name, detail=scored.detail, threshold=threshold, **estimates
    )


def neuron_scores(model: Model, neuron: Neuron, prompts: FitAndScore) -> DetectorScores:
    """The neuron's largest activation after the instruction, or minus its smallest.

    The largest where it is higher on the positives of the fit prompts. A token its expert does not
    see counts as 0.
    """
    fit, score = (
        _after_instruction(model, neuron, labelled.texts, prompts.system)
        for labelled in (prompts.fit, prompts.score)
    )
    means, labels = np.array([values.mean() for values in fit]), np.array(prompts.fit.labels)
    rises = means[labels].mean() >= means[~labels].mean()
    detail = "largest activation" if rises else "minus the smallest activation"
    extremes = [
        np.array([values.max() if rises else -values.min() for values in rows])
        for rows in (fit, score)
    ]
    return DetectorScores(neuron.site, extremes[0], extremes[1], detail)


def _after_instruction(
    model: Model, neuron: Neuron, texts: Sequence[str], system: str | None
) -> list[Floats]:
    """Activations at the tokens between the user's words and the reply, prompt by prompt."""
    rows = [model.prompt_ids(text, system) for text in texts]
    after = []
    for row, values in zip(rows, traces(model, [neuron], rows), strict=True):
        tail = values[0, -model.after_instruction(row) :]
        after.append(tail.nan_to_num(0.0).double().numpy())
    return after


def _stream(model: Model, layer: int, prompts: FitAndScore) -> DetectorScores:
    # scikit-learn takes a second to import, which no other command should pay
    from sklearn.preprocessing import StandardScaler

    fit, score = (
        _residuals(model, layer, labelled.texts, prompts.system)
        for labelled in (prompts.fit, prompts.score)
    )
    name = f"logistic regression, stream of layer {layer}"
    detail = "last prompt token, standardized, L2 with C = 1"
    return DetectorScores(
        name, *_probe(StandardScaler(), fit, score, prompts.fit.labels), detail, 0.0
    )


def _residuals(model: Model, layer: int, texts: Sequence[str], system: str | None) -> Floats:
    """The stream at the last prompt token, [prompt, d_model]."""
    batches = last_residuals(model, [model.prompt_ids(text, system) for text in texts])
    return torch.cat([batch[:, layer] for batch in batches]).double().numpy()


def _words(prompts: FitAndScore) -> DetectorScores:
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(token_pattern=r"\w+|[^\w\s]")
    odds = _probe(counts, prompts.fit.texts, prompts.score.texts, prompts.fit.labels)
    return DetectorScores("bag of words", *odds, "counts, L2 with C = 1", 0.0)


def _probe(
    step: object, fit: Floats | Sequence[str], score: Floats | Sequence[str], labels: Sequence[bool]
) -> tuple[Floats, Floats]:
    """Log-odds on both sets by logistic regression, fitted to the first one after `step`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    probe = make_pipeline(step, LogisticRegression(max_iter=2000)).fit(fit, labels)
    return probe.decision_function(fit), probe.decision_function(score)


def _guard(name: str, guards: Guards, prompts: FitAndScore) -> DetectorScores:
    """A guard's scores; of a classifier the label that tells the fit prompts apart best."""
    sets = (prompts.fit.texts, prompts.score.texts)
    if not is_classifier(name):
        guard = load(name, guards.dtype, guards.device)
        fit, score = (guard_odds(guard, texts, guards.words).double().numpy() for texts in sets)
        first, second = guards.words
        return DetectorScores(guard.name, fit, score, f"log-odds of {first!r} against {second!r}")
    classifier, labels = load_classifier(name, guards.device), np.array(prompts.fit.labels)
    fit, score = (classifier.log_probs(texts).double().numpy() for texts in sets)
    areas = [detection(column, labels, 0.0).auroc.value for column in fit.T]
    best = int(np.argmax(areas))
    detail = f"log-probability of {classifier.labels[best]!r}"
    return DetectorScores(classifier.name, fit[:, best], score[:, best], detail)
