"""The detector of lost coherence notices what it should, misses what it is known to miss, and
agrees with the exact grammar.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fulcra import Behavior, Model, load
from fulcra.backtest.damage import looped, noised, shuffled_words
from fulcra.backtest.detector import CoherenceStudySettings, agreement, coherence_study, damage
from fulcra.engines.generic import continue_openings
from fulcra.store import RunFolder, plain

TINY = CoherenceStudySettings(per_layer=1, gains=(0.3, 0.9, 1.7))


@pytest.fixture(scope="module")
def stories(shared: Path) -> Model:
    """The smaller model of stories."""
    return load(str(shared / "data" / "stories260K"))


@pytest.fixture(scope="module")
def studied(
    sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
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
    found = looped(tokens, 10, period)
    assert len(found) == 30
    assert found[:10] == tokens[:10]
    length = min(period, 10)
    assert all(found[i] == found[i - length] for i in range(10, 30))


def test_shuffled_words_are_the_words_of_the_text(stories: Model) -> None:
    (reply,) = continue_openings(stories, ["Once upon a time"], 0).replies
    found = shuffled_words(stories, reply, random.Random(1))
    assert len(found) <= len(reply)
    assert set(stories.words(found).split()[:-1]) <= set(stories.words(reply).split())
    assert found != reply


def test_agreement_counts_every_rollout_once() -> None:
    found = agreement(
        [True, True, True, False, False],
        [True, True, False, True, False],
        ["a", "b", "c", "d", "e"],
    )
    assert found["counts"] == {
        "coherent_grammatical": 2,
        "coherent_broken": 1,
        "lost_grammatical": 1,
        "lost_broken": 1,
    }
    assert found["precision"]["value"] == found["recall"]["value"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_detector_that_calls_nothing_coherent_has_no_precision() -> None:
    found = agreement([False, False], [True, True], ["a", "b"])
    assert found["precision"]["value"] is None
    assert found["recall"]["value"] == 0.0
    assert found["balanced_accuracy"] == 0.0


def test_damage_is_noticed_by_its_own_sign_and_clean_text_is_not(stories: Model) -> None:
    found = {(row["kind"], row["amount"]): row for row in damage(stories)}
    assert found["none", 0.0]["coherent"] >= 0.95
    noise = [found["token noise", rate]["coherent"] for rate in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)]
    assert noise == sorted(noise, reverse=True)
    assert noise[0] >= 0.9
    assert noise[-2:] == [0.0, 0.0]
    assert found["token noise", 1.0]["surprises"] == 1.0
    for period in (1, 2, 4, 8, 16):
        assert found["loop from a third on", period]["coherent"] == 0.0
        assert found["loop from a third on", period]["repeats"] == 1.0
    # a long loop surprises nobody: without the n-grams it would pass
    assert found["loop from a third on", 16]["surprises"] == 0.0
    assert found["tokens shuffled", 1.0]["coherent"] == 0.0
    # the known blind spot: two halves of fluent text that do not belong together
    assert found["spliced with another text", 0.5]["coherent"] >= 0.9


def test_the_study_knows_the_grammar_and_forgives_few_true_sentences(
    studied: tuple[Path, dict[str, Any]],
) -> None:
    found = studied[1]
    grammar = found["grammar"]
    assert (
        grammar["scored"] + grammar["unscored"]
        == 2 * found["branches"] * len(TINY.gains) * found["prompts"]
    )
    assert sum(grammar["counts"].values()) == grammar["scored"]
    assert grammar["recall"]["value"] >= 0.95
    assert grammar["precision"]["value"] >= 0.75
    shares = [row["grammatical"] for row in grammar["by_gain"]]
    assert shares == sorted(shares, reverse=True)


def test_a_stricter_threshold_gives_up_recall_and_never_gains_any(
    studied: tuple[Path, dict[str, Any]],
) -> None:
    rows = studied[1]["grammar"]["grid"]
    for one in rows:
        for other in rows:
            if other["floor"] >= one["floor"] and other["share"] <= one["share"]:
                assert other["recall"] <= one["recall"]


def test_the_study_is_plain_json_and_goes_on_where_it_stands(
    studied: tuple[Path, dict[str, Any]], sparse: Model, refusal: Behavior
) -> None:
    path, found = studied
    parts = {part: part.stat().st_mtime_ns for part in (path / "parts").iterdir()}
    assert len(parts) == 3
    again = coherence_study(sparse, refusal, settings=TINY, folder=RunFolder.open(path, {}))
    assert json.dumps(plain(again)) == json.dumps(plain(found))
    assert {part: part.stat().st_mtime_ns for part in (path / "parts").iterdir()} == parts
