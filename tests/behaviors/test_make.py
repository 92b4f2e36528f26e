"""A behavior made in Python is the one of a file, and refused in one line as a file is."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulcra.behaviors import behavior, behavior_sha256, load_behavior
from fulcra.errors import BehaviorError
from fulcra.judges.outcome import typed
from fulcra.types import Prompt

POSITIVE = tuple(f"ask for a warm drink, number {i}" for i in range(40))
NEGATIVE = tuple(f"ask for a chair, number {i}" for i in range(16))
OPENINGS = ("A cup of tea", ("A glass of milk", "Some milk"))
TEXTS = ("Tea, please.", "Milk, please.", "tea and milk", "", "nothing at all")
PROMPT = Prompt("p", "milk or tea?")


def made(**changes: Any) -> Any:
    """The behavior of asking for tea, with some arguments changed."""
    arguments = {
        "name": "tea",
        "positive": POSITIVE,
        "negative": NEGATIVE,
        "flips": r"(?i)\btea\b",
        "openings": OPENINGS,
        **changes,
    }
    return behavior(**{key: value for key, value in arguments.items() if value is not None})


def speaks_of_tea(text: str) -> bool:
    """The reply speaks of tea."""
    return "tea" in text.lower()


def repeats_its_prompt(prompt: str, text: str) -> bool:
    return prompt in text


@pytest.mark.parametrize("reach", [None, r"please"])
def test_it_is_the_behavior_of_a_file_that_says_the_same(tmp_path: Path, reach: str | None) -> None:
    own = made(
        reach=reach, selection=("one tea", "two teas"), confirmation=("three teas",), horizon=9
    )
    written = {
        "name": "tea",
        "version": 1,
        "positive": list(POSITIVE),
        "negative": list(NEGATIVE),
        "selection": ["one tea", "two teas"],
        "confirmation": ["three teas"],
        "target_openings": [OPENINGS[0]],
        "control_openings": list(OPENINGS[1]),
        "flip": {"regex": r"(?i)\btea\b"},
        "horizon": 9,
        "sensitive": True,
    }
    path = tmp_path / "tea.yaml"
    path.write_text(yaml.safe_dump(written | ({"reach": reach} if reach else {})), encoding="utf-8")
    filed = load_behavior(path)
    assert filed.source == {"file": str(path)}
    assert own == replace(filed, source={})
    assert behavior_sha256(own) == behavior_sha256(filed)
    for text in TEXTS:
        assert own.oracle(PROMPT, text, True) == filed.oracle(PROMPT, text, True)


def test_the_function_of_a_pattern_reads_as_the_pattern() -> None:
    pattern, function = made(), made(flips=lambda text: bool(re.search(r"(?i)\btea\b", text)))
    for text in TEXTS:
        assert function.oracle(PROMPT, text, False) == pattern.oracle(PROMPT, text, False)


def test_a_function_of_two_arguments_gets_the_prompt() -> None:
    oracle = made(flips=repeats_its_prompt).oracle
    assert oracle(PROMPT, "You said: milk or tea?", True).flipped
    assert not oracle(PROMPT, "Tea.", True).flipped


@pytest.mark.parametrize("unchanged", [r"(?i)\bmilk\b", lambda text: "milk" in text.lower()])
def test_what_neither_rule_reads_is_off_topic(unchanged: str | Callable[[str], bool]) -> None:
    oracle = made(flips=speaks_of_tea, unchanged=unchanged).oracle
    outcomes = [typed(oracle(PROMPT, text, True)) for text in TEXTS]
    assert outcomes == ["flipped", "unchanged", "unchanged", "off_topic", "off_topic"]


def test_only_a_flip_can_be_correct() -> None:
    oracle = made(flips=speaks_of_tea, reach="please").oracle
    outcomes = [typed(oracle(PROMPT, text, True)) for text in TEXTS[:3]]
    assert outcomes == ["flipped_correct", "unchanged", "flipped"]


def test_absent_sets_are_dealt_from_the_positive_prompts_the_same_every_time() -> None:
    own = made()
    sets = [own.positive, own.selection, own.confirmation]
    assert list(map(len, sets)) == [16, 8, 16]
    texts = [prompt.text for prompts in sets for prompt in prompts]
    assert sorted(texts) == sorted(POSITIVE)
    assert [prompt.text for prompt in own.positive] == sorted(
        (prompt.text for prompt in own.positive), key=POSITIVE.index
    )
    assert made() == own
    assert made(name="other").selection != own.selection
    chosen = made(selection=("one tea",))
    assert (len(chosen.positive), len(chosen.selection), len(chosen.confirmation)) == (24, 1, 16)


def test_functions_are_hashed_by_name_and_source_and_patterns_by_themselves() -> None:
    def other(text: str) -> bool:
        return "tea" in text

    def renamed(text: str) -> bool:
        return "tea" in text

    hashes = [
        behavior_sha256(made(flips=flips, unchanged=unchanged))
        for flips in (r"tea", r"teas", speaks_of_tea, other, renamed)
        for unchanged in (None, "milk", speaks_of_tea)
    ]
    assert len(set(hashes)) == len(hashes)
    assert behavior_sha256(made(flips=speaks_of_tea)) == behavior_sha256(made(flips=speaks_of_tea))


def test_what_counts_as_a_flip_is_said_in_words() -> None:
    own = made(flips=speaks_of_tea, unchanged="milk", reach="please")
    assert own.flip == (
        f"the completion passes {__name__}.speaks_of_tea (The reply speaks of tea); the undosed one"
        " matches /milk/; correct when it matches /please/"
    )


def test_settings_are_those_given_or_the_usual_ones() -> None:
    usual = made()
    assert (usual.horizon, usual.system, usual.chat, usual.sensitive) == (32, None, True, True)
    own = made(horizon=8, system="Be brief.", chat=False, sensitive=False)
    assert (own.horizon, own.system, own.chat, own.sensitive) == (8, "Be brief.", False, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flips": "(tea"}, "flips: regex '(tea' is not a regular expression (missing )"),
        ({"flips": ""}, "flips: regex: String should have at least 1 character"),
        ({"unchanged": "*"}, "unchanged: regex '*' is not a regular expression"),
        ({"reach": "*"}, "reach: regex '*' is not a regular expression"),
        ({"flips": 3}, "flips is int; give a regular expression or a function"),
        ({"flips": partial(speaks_of_tea)}, "flips is partial; give a regular expression or"),
        ({"flips": re.compile("tea").search}, "give a regular expression or a function"),
        ({"flips": lambda: True}, "flips is a function of 0 arguments; give one of the completion"),
        (
            {"unchanged": lambda a, b, c: True},
            "unchanged is a function of 3 arguments; give one of the completion, or of prompt",
        ),
        ({"openings": None}, "openings are missing; give openings=(how flipped replies begin,"),
        ({"openings": "tea"}, "openings are no pair; give openings=("),
        ({"openings": ("tea", "tea")}, "'tea' is a target and a control opening of"),
        ({"openings": ("tea", ())}, "has no control_openings; give one to all prompts"),
        ({"horizn": 8}, "unknown option 'horizn'; did you mean 'horizon'?"),
        ({"xyzzy": 8}, "unknown option 'xyzzy'; options are chat, confirmation, horizon"),
        ({"horizon": 0}, "horizon is 0; give a whole number of tokens, 1 or more"),
        ({"horizon": "long"}, "horizon is 'long'; give a whole number of tokens"),
        ({"positive": "a cup"}, "positive is one text; give a list of prompts"),
        ({"negative": ["a", 3]}, "negative holds int 3; give texts"),
        ({"negative": []}, "negative holds no prompt; give at least one"),
        ({"negative": ["a", "A "]}, "negative holds 'a' 2 times; keep one"),
        ({"selection": [NEGATIVE[0]]}, "is in negative and in selection; sets must be disjoint"),
        (
            {"positive": POSITIVE[:31]},
            "31 positive prompts, needs 32 or more to take 8 for selection and 16 for confirmation"
            " from them and keep 8; add some, or give selection and confirmation",
        ),
        (
            {"positive": POSITIVE[:20], "selection": ["a cup"]},
            "20 positive prompts, needs 24 or more to take 16 for confirmation from them",
        ),
    ],
)
def test_a_fault_is_one_line_that_names_the_behavior(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BehaviorError) as error:
        made(**changes)
    assert str(error.value).startswith("behavior 'tea': ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_behavior_needs_a_name() -> None:
    with pytest.raises(BehaviorError, match="it has no name; give one"):
        made(name="")
