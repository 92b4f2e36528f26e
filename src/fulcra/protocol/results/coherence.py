"""How good the detector of lost coherence is, as the back-test's file holds it."""

from dataclasses import dataclass

from fulcra.judges.coherence import CoherenceStandard
from fulcra.protocol.results.base import Value


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """The size of the study on one organism: random branches a layer, gains, seed."""

    per_layer: int = 4
    gains: tuple[float, ...] = (0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.7)
    seed: int = 0


class MeanInterval(Value):
    """A mean over `n` values with its 95 % interval over neurons; none below two neurons."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Noise(Value):
    """The noise of one edge in one unit: its sd, and its floor with a 95 % interval.

    The floor is the mean |error| that the noise alone leaves a perfect forecast.
    """

    sd: float | None
    floor: float | None
    low: float | None
    high: float | None


class EdgePairs(Value):
    """Edges measured twice, by how many of a pair are censored: none (`n`), one, both."""

    n: int
    one_censored: int
    both_censored: int


class EdgeNoise(EdgePairs):
    """The noise of one measured edge [alignment; octaves of gain], from two equal measurements."""

    cos: Noise
    log2: Noise


class EdgeDifference(EdgePairs):
    """How far the second measurement of edges lies from the first; biases are medians."""

    mae_cos: MeanInterval
    mae_log2: MeanInterval
    bias_cos: float | None
    bias_log2: float | None
    correlation: float | None


class GrammarCounts(Value):
    """Rollouts by the detector's verdict and by the exact grammar."""

    coherent_grammatical: int
    coherent_broken: int
    lost_grammatical: int
    lost_broken: int


class DetectorScore(Value):
    """The detector's verdicts against the exact grammar; intervals over neurons."""

    counts: GrammarCounts
    precision: MeanInterval
    recall: MeanInterval
    balanced_accuracy: float | None


class Threshold(Value):
    """How good the detector would be with another floor of n-grams and share of odd tokens."""

    floor: float
    share: float
    precision: float | None
    recall: float | None
    balanced_accuracy: float | None


class SharesAtGain(Value):
    """The shares of scored rollouts that are coherent and grammatical at one gain."""

    gain: float
    coherent: float | None
    grammatical: float | None
    n: int


class GrammarStudy(Value):
    """Coherence against the exact grammar: by rollout, over a grid of thresholds, as a ceiling."""

    scored: int
    unscored: int
    counts: GrammarCounts
    precision: MeanInterval
    recall: MeanInterval
    balanced_accuracy: float | None
    grid: tuple[Threshold, ...]
    by_gain: tuple[SharesAtGain, ...]
    ceiling: EdgeDifference


class Floor(Value):
    """The noise floor of a ceiling over all prompts [alignment; octaves of gain]."""

    cos: float | None
    log2: float | None


class RepetitionStudy(Value):
    """The noise of a measured ceiling: another seed; other prompts with other seeds."""

    two_seeds: EdgeNoise
    split_half: EdgeNoise
    floor: Floor


class LowestGain(Value):
    """The share of rollouts that are coherent at the smallest dose."""

    sampled: float | None
    greedy: float | None


class SamplingStudy(Value):
    """Greedy ceilings beside sampled ones."""

    greedy_against_sampled: EdgeDifference
    split_half_greedy: EdgeNoise
    coherent_at_the_lowest_gain: LowestGain


class CoherenceStudy(Value):
    """What is known about the detector on one organism."""

    model: str
    settings: DetectorSettings
    standard: CoherenceStandard
    branches: int
    prompts: int
    grammar: GrammarStudy
    repeatability: RepetitionStudy
    sampling: SamplingStudy


class JudgedDamage(Value):
    """The share of texts with one damage that is still coherent, and which sign noticed the rest.

    `amount` is a share of the text, or the period of a loop in tokens.
    """

    kind: str
    amount: int | float
    coherent: float
    repeats: float
    surprises: float
    n: int


class DetectorStudies(Value):
    """The detector on every organism, and on damaged stories, by model."""

    organisms: dict[str, CoherenceStudy]
    damage: dict[str, tuple[JudgedDamage, ...]]
