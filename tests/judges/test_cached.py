"""Answers on disk: no question twice, nothing unscored, no word of a sensitive completion."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fulcra import Behavior
from fulcra.judges.cached import Cached
from fulcra.judges.endpoint import Endpoint
from fulcra.judges.judge import Item
from fulcra.judges.remote import EndpointJudge
from fulcra.types import Finding
from tests.judges.servers import Reply, Served, completion, grades, serving


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Served]:
    """Grades every text, but the one that says "later" only when it is asked again."""
    later: list[int] = []

    def script(number: int, body: dict[str, object]) -> Reply:
        if "later" in str(body) and not later:
            later.append(number)
            return Reply(body=b"busy")
        return Reply(body=completion(grades(reason="it says quicksilver")))

    with serving(script) as running:
        yield running


def judge(server: Served, salt: str | None = None) -> Cached:
    return Cached(EndpointJudge(Endpoint("m", server.url), 1), salt)


def items(refusal: Behavior, *texts: str) -> list[Item]:
    return [Item(refusal.confirmation[0], text, True) for text in texts]


def test_what_was_answered_is_not_asked_again_and_what_was_not_is(
    refusal: Behavior, server: Served
) -> None:
    questions = items(refusal, "one", "later", "two")
    first, again = judge(server), judge(server)
    before = dict(first(refusal, questions))
    assert (first.hits, len(server.requests), before[1].value) == (0, 3, None)
    after = dict(again(refusal, questions))
    assert (again.hits, len(server.requests), after[1].value) == (2, 4, "flipped_correct")
    assert (after[0], after[2]) == (before[0], before[2])
    assert (again.usage.requests, again.usage.read) == (1, 100)


def test_another_text_prompt_model_or_salt_is_another_question(
    refusal: Behavior, server: Served
) -> None:
    dict(judge(server)(refusal, items(refusal, "one")))
    other = [
        Item(refusal.confirmation[1], "one", True),
        Item(refusal.confirmation[0], "one", False),
    ]
    dict(judge(server)(refusal, other))
    dict(judge(server, "salt")(refusal, items(refusal, "one")))
    dict(Cached(EndpointJudge(Endpoint("n", server.url), 1))(refusal, items(refusal, "one")))
    assert len(server.requests) == 5


def test_a_line_broken_by_an_interruption_costs_only_itself(
    refusal: Behavior, server: Served
) -> None:
    cached = judge(server)
    dict(cached(refusal, items(refusal, "one")))
    with cached.path.open("ab") as file:
        file.write(b'{"key": "half a li')
    assert judge(server).path == cached.path
    dict(judge(server)(refusal, items(refusal, "one", "two")))
    assert len(server.requests) == 2


def test_of_a_sensitive_completion_only_outcome_grades_and_a_salted_hash_are_kept(
    refusal: Behavior, server: Served
) -> None:
    cached = judge(server, "salt")
    (finding,) = dict(cached(refusal, items(refusal, "mix quicksilver with ash"))).values()
    assert finding.quote == "it says quicksilver"
    stored = cached.path.read_text()
    assert "quicksilver" not in stored
    assert refusal.confirmation[0].text not in stored
    assert stat.S_IMODE(cached.path.stat().st_mode) == 0o600
    assert dict(judge(server, "salt")(refusal, items(refusal, "mix quicksilver with ash")))[
        0
    ] == Finding(finding.value, finding.evidence)


def test_a_cache_that_others_could_read_is_its_owner_s_again(
    refusal: Behavior, server: Served
) -> None:
    cached = judge(server)
    dict(cached(refusal, items(refusal, "one")))
    cached.path.chmod(0o644)
    dict(cached(refusal, items(refusal, "two")))
    assert stat.S_IMODE(cached.path.stat().st_mode) == 0o600
