"""Controls are measured once: the cache changes nothing, and holds no sensitive text."""

from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import AuditSettings, Behavior, Model, audit, verify
from fulcra.protocol.shards import read_rollouts
from fulcra.store import cache_folder
from tests.chaos.audits import smallest
from tests.conftest import untimed

SETTINGS = AuditSettings(neurons=1, random=0, controls=2, gains=(0.5,), screen="contrastive")


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    return smallest(refusal)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test alone."""
    monkeypatch.setenv("FULCRA_CACHE", str(tmp_path / "cache"))
    return cache_folder() / "controls"


@pytest.mark.slow
def test_cached_controls_change_nothing(
    sparse: Model, short: Behavior, tmp_path: Path, cache: Path
) -> None:
    first = audit(sparse, short, SETTINGS, tmp_path / "first")
    assert len(list(cache.iterdir())) == 1
    again = audit(sparse, short, SETTINGS, tmp_path / "again")
    assert first.timing != again.timing
    assert untimed(first) == untimed(again)
    assert all(check.passed for check in verify(tmp_path / "again"))
    rows = read_rollouts(tmp_path / "first")
    assert read_rollouts(tmp_path / "again") == rows
    assert rows[-1]["stage"] == "control"


@pytest.mark.slow
def test_other_gains_are_other_controls(sparse: Model, short: Behavior, cache: Path) -> None:
    audit(sparse, short, SETTINGS)
    audit(sparse, short, replace(SETTINGS, gains=(0.7,)))
    assert len(list(cache.iterdir())) == 2


def test_sensitive_controls_are_never_cached(sparse: Model, short: Behavior, cache: Path) -> None:
    audit(sparse, replace(short, sensitive=True), SETTINGS)
    assert not cache.exists()
