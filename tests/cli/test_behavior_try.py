"""`fulcra behavior try`: exit code 0 where fit, 3 where not, 2 for bad input in one line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_a_fit_behavior_ends_with_zero_and_says_so(fulcra: Call) -> None:
    left = fulcra("behavior", "try", "apothecary-sparse", "-b", "refusal")
    assert left.code == 0
    assert "refusal on apothecary-sparse: fit for an audit" in left.out
    assert "shows the behavior, undosed" in left.out


def test_an_unfit_behavior_ends_with_three_and_a_line_a_problem(fulcra: Call) -> None:
    left = fulcra("behavior", "try", "apothecary-sparse", "-b", "other-city")
    assert left.code == 3
    assert "other-city on apothecary-sparse: not fit for an audit" in left.out
    assert "to change  baseline: undosed, the model shows the behavior on 0 of 24" in left.out


def test_json_is_one_line_and_holds_every_figure(fulcra: Call) -> None:
    left = fulcra("behavior", "try", "apothecary-sparse", "-b", "refusal", "--json")
    content = json.loads(left.out)
    assert content["shown"]["count"] == 24
    assert [control["name"] for control in content["controls"]] == [
        "positive prompts",
        "negative prompts",
        "prefill",
    ]
    assert content["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("apothecary-sparse", "-b", "bulets"), "did you mean 'bullets'"),
        (("no-such-model", "-b", "refusal"), "no-such-model"),
    ],
)
def test_bad_input_is_one_line(fulcra: Call, arguments: tuple[str, ...], words: str) -> None:
    assert words in fulcra("behavior", "try", *arguments).refusal


def test_a_file_that_is_no_behavior_is_one_line(fulcra: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nversion: 1\n")
    assert "mine.yaml" in fulcra("behavior", "try", "apothecary-sparse", "-b", path).refusal


def test_the_list_names_the_behaviors_for_chat_models(fulcra: Call) -> None:
    out = fulcra("behavior", "list").out
    assert "reply-french" in out
    assert "policy" in out
    assert max(map(len, out.splitlines())) <= 126
    assert "false-premise  the completion matches …\n" in out
