"""The detector notices damage to a text, misses what it must, and agrees with the exact grammar."""

import json
import random
from pathlib import Path

import pytest

from fulcra.backtest.damage import judged_damage, looped, noised, shuffled_words
from fulcra.backtest.detector import coherence_study
from fulcra.backtest.grammar import detector_score
from fulcra.engines.generic import continue_openings
from fulcra.models import Model, load
from fulcra.protocol.results.coherence import CoherenceStudy, DetectorSettings
from fulcra.store import RunFolder
from fulcra.types import Behavior

pytestmark = pytest.mark.slow

TINY = DetectorSettings(per_layer=1, gains=(0.3, 0.9, 1.7))


@pytest.fixture(scope="module")
def stories(shared: Path) -> Model:
    """The smaller model of stories."""
    return load(str(shared / "data" / "stories260K"))


@pytest.fixture(scope="module")
def studied(
    sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CoherenceStudy]:
    """A finished tiny study and its folder."""
    folder = RunFolder.open(tmp_path_factory.mktemp("coherence") / "run", {})
    return folder.path, coherence_study(sparse, refusal, settings=TINY, folder=folder)


def test_noise_replaces_the_share_of_tokens_that_it_says() -> None:
    tokens, ids = tuple(range(50)) * 40, range(60)
    rng = random.Random(0)
    assert noised(tokens, 0.0, ids, rng) == tokens
    assert all(a != b for a, b in zip(noised(tokens, 1.0, ids, rng), tokens, strict=True))
    changed = sum(a != b for a, b in zip(noised(tokens, 0.2, ids, rng), tokens, strict=True))
    assert changed / len(tokens) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("period", [1, 3, 8, 40])
def test_a_loop_begins_as_the_text_and_repeats_its_period(period: int) -> None:
    tokens = tuple(range(30))
    text = looped(tokens, 10, period)
    assert len(text) == 30
    assert text[:10] == tokens[:10]
    length = min(period, 10)
    assert all(text[i] == text[i - length] for i in range(10, 30))


def test_shuffled_words_are_the_words_of_the_text(stories: Model) -> None:
    (reply,) = continue_openings(stories, ["Once upon a time"], 0).replies
    shuffled = shuffled_words(stories, reply, random.Random(1))
    assert len(shuffled) <= len(reply)
    assert set(stories.words(shuffled).split()[:-1]) <= set(stories.words(reply).split())
    assert shuffled != reply


def test_a_score_counts_every_rollout_once() -> None:
    score = detector_score(
        [True, True, True, False, False],
        [True, True, False, True, False],
        ["a", "b", "c", "d", "e"],
    )
    assert score.counts.plain() == {
        "coherent_grammatical": 2,
        "coherent_broken": 1,
        "lost_grammatical": 1,
        "lost_broken": 1,
    }
    assert score.precision.value == score.recall.value == pytest.approx(2 / 3)
    assert score.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_detector_that_calls_nothing_coherent_has_no_precision() -> None:
    score = detector_score([False, False], [True, True], ["a", "b"])
    assert score.precision.value is None
    assert score.recall.value == 0.0
    assert score.balanced_accuracy == 0.0


def test_damage_is_noticed_by_its_own_sign_and_clean_text_is_not(stories: Model) -> None:
    judged = {(row.kind, row.amount): row for row in judged_damage(stories)}
    assert judged["none", 0.0].coherent >= 0.95
    noise = [judged["token noise", rate].coherent for rate in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)]
    assert noise == sorted(noise, reverse=True)
    assert noise[0] >= 0.9
    assert noise[-2:] == [0.0, 0.0]
    assert judged["token noise", 1.0].surprises == 1.0
    for period in (1, 2, 4, 8, 16):
        assert judged["loop from a third on", period].coherent == 0.0
        assert judged["loop from a third on", period].repeats == 1.0
    # a long loop surprises nobody: without the n-grams it would pass
    assert judged["loop from a third on", 16].surprises == 0.0
    assert judged["tokens shuffled", 1.0].coherent == 0.0
    # the known blind spot: two halves of fluent text that do not belong together
    assert judged["spliced with another text", 0.5].coherent >= 0.9


def test_the_study_knows_the_grammar_and_forgives_few_true_sentences(
    studied: tuple[Path, CoherenceStudy],
) -> None:
    study = studied[1]
    grammar = study.grammar
    rollouts = 2 * study.branches * len(TINY.gains) * study.prompts
    assert grammar.scored + grammar.unscored == rollouts
    assert sum(grammar.counts.plain().values()) == grammar.scored
    assert (grammar.recall.value or 0) >= 0.95
    assert (grammar.precision.value or 0) >= 0.75
    shares = [row.grammatical or 0 for row in grammar.by_gain]
    assert shares == sorted(shares, reverse=True)


def test_a_stricter_threshold_gives_up_recall_and_never_gains_any(
    studied: tuple[Path, CoherenceStudy],
) -> None:
    rows = studied[1].grammar.grid
    for row in rows:
        for stricter in rows:
            if stricter.floor >= row.floor and stricter.share <= row.share:
                assert (stricter.recall or 0) <= (row.recall or 0)


def test_the_study_is_plain_json_and_goes_on_where_it_stands(
    studied: tuple[Path, CoherenceStudy], sparse: Model, refusal: Behavior
) -> None:
    path, study = studied
    parts = {part: part.stat().st_mtime_ns for part in (path / "rollouts").iterdir()}
    assert len(parts) == 3
    again = coherence_study(sparse, refusal, settings=TINY, folder=RunFolder.open(path, {}))
    assert json.dumps(again.plain()) == json.dumps(study.plain())
    assert {part: part.stat().st_mtime_ns for part in (path / "rollouts").iterdir()} == parts
