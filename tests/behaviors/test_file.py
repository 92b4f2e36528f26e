"""A user's behavior file: read as written, or refused in one line that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulcra.behaviors import behavior_schema, behavior_sha256, load_behavior
from fulcra.behaviors.generic import OPENINGS
from fulcra.errors import BehaviorError

Write = Callable[..., Path]
WRITTEN: dict[str, Any] = {
    "name": "tea",
    "version": 1,
    "positive": ["a cup of", "a pot of"],
    "negative": ["a bag of", "a box of"],
    "selection": ["she drinks", "he drinks"],
    "confirmation": [
        "they drink",
        {"prompt": "we drink", "target_openings": ["green tea"], "answer": "green tea ."},
    ],
    "target_openings": ["tea"],
    "control_openings": ["milk"],
    "flip": {"words": {"flipped": ["tea"], "unchanged": ["milk"]}},
    "horizon": 8,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the behavior with some keys changed (None: left out) and gives its path."""

    def _write(**changes: Any) -> Path:
        path = tmp_path / "tea.yaml"
        written = {key: value for key, value in {**WRITTEN, **changes}.items() if value is not None}
        path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
        return path

    return _write


def test_a_file_is_read_as_written(write: Write) -> None:
    behavior = load_behavior(write())
    assert (
        behavior.name,
        behavior.version,
        behavior.horizon,
        behavior.system,
        behavior.sensitive,
    ) == ("tea", "1", 8, None, False)
    assert [prompt.text for prompt in behavior.selection] == ["she drinks", "he drinks"]
    own = behavior.confirmation[1]
    assert (own.target_openings, own.control_openings, own.answer) == (
        ("green tea",),
        ("milk",),
        "green tea .",
    )
    assert behavior.flip == "the completion says more of tea than of milk"


def test_absent_generic_openings_are_the_bundled_ones(write: Write) -> None:
    behavior = load_behavior(write())
    assert (*behavior.generic, *behavior.ceiling_generic) == OPENINGS
    assert (len(behavior.generic), len(behavior.ceiling_generic), len(set(OPENINGS))) == (
        32,
        16,
        48,
    )


def test_own_generic_openings_serve_32_first_and_ceilings_after(write: Write) -> None:
    own = [f"opening number {i}" for i in range(50)]
    behavior = load_behavior(write(generic=own))
    assert (behavior.generic, behavior.ceiling_generic) == (tuple(own[:32]), tuple(own[32:]))


@pytest.mark.parametrize(
    ("name", "sensitive", "expected"),
    [("refusal-mine", None, True), ("refusal-mine", False, False), ("tea", True, True)],
)
def test_a_refusal_is_sensitive_unless_the_file_says_otherwise(
    write: Write, name: str, sensitive: bool | None, expected: bool
) -> None:
    assert load_behavior(write(name=name, sensitive=sensitive)).sensitive is expected


def test_prompts_may_lie_beside_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(
        '"she drinks"\n\n{"prompt": "he drinks", "answer": "tea"}\n', encoding="utf-8"
    )
    (tmp_path / "two.csv").write_text(
        'prompt,target_openings,answer\nthey drink,green tea|tea,\n"we, too, drink",,tea\n',
        encoding="utf-8",
    )
    behavior = load_behavior(write(selection="one.jsonl", confirmation="two.csv"))
    assert [(p.text, p.answer) for p in behavior.selection] == [
        ("she drinks", None),
        ("he drinks", "tea"),
    ]
    assert [(p.text, p.target_openings) for p in behavior.confirmation] == [
        ("they drink", ("green tea", "tea")),
        ("we, too, drink", ("tea",)),
    ]


def test_inline_and_beside_hash_alike(write: Write, tmp_path: Path) -> None:
    inline = behavior_sha256(load_behavior(write()))
    (tmp_path / "p.jsonl").write_text(
        "\n".join(map(json.dumps, WRITTEN["selection"])), encoding="utf-8"
    )
    assert behavior_sha256(load_behavior(write(selection="p.jsonl"))) == inline


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "the key 'name' is missing; add it"),
        ({"flip": None}, "the key 'flip' is missing; add it"),
        ({"horizon": None}, "the key 'horizon' is missing; add it"),
        ({"selection": None}, "the key 'selection' is missing; add it, or a source"),
        ({"horizn": 8, "horizon": None}, "unknown key 'horizn'; did you mean 'horizon'?"),
        (
            {"xyzzy": 8},
            (
                "unknown key 'xyzzy'; known keys: name, version, system, positive, negative,"
                " selection, confirmation, generic, "
            ),
        ),
        ({"flip": {"regexp": "tea"}}, "unknown key 'flip.regexp'; did you mean 'regex'?"),
        (
            {"flip": {"words": {"fliped": ["a"], "unchanged": ["b"]}}},
            "unknown key 'flip.words.fliped'; did you mean 'flipped'?",
        ),
        (
            {"selection": [{"prompt": "a", "anser": "b"}]},
            "unknown key 'selection.0.anser'; did you mean 'answer'?",
        ),
        (
            {"flip": {}},
            "flip needs exactly one of regex, words, language, refusal, found none; keep one",
        ),
        (
            {"flip": {"regex": "a", "language": "fr"}},
            "flip needs exactly one of regex, words, language, refusal, found regex and language",
        ),
        (
            {"flip": {"regex": "(tea"}},
            "flip.regex '(tea' is not a regular expression (missing ) at position 4)",
        ),
        (
            {"flip": {"regex": "(a|aa)+$"}},
            "flip.regex the pattern '(a|aa)+$' took more than 0.25 s on 66 characters; let no two",
        ),
        (
            {"flip": {"language": "french"}},
            "flip.language 'french' is not a language code; give ISO 639-1, like fr",
        ),
        (
            {"reach": "*"},
            "reach '*' is not a regular expression (nothing to repeat at position 0); mend it",
        ),
        ({"horizon": "long"}, "horizon: expected a whole number, found str 'long'"),
        ({"horizon": 0}, "horizon: Input should be greater than or equal to 1, found int '0'"),
        ({"sensitive": "yes"}, "sensitive: expected true or false, found str 'yes'"),
        ({"positive": 3}, "positive: expected text, found int '3'"),
        ({"positive": ["a", 3]}, "positive.1: expected text, found int '3'"),
        ({"target_openings": "tea"}, "target_openings: expected a list, found str 'tea'"),
        ({"flip": "tea"}, "flip: expected keys and values, found str 'tea'"),
        (
            {"positive": "many"},
            (
                "'many' is no list of prompts and no .jsonl or .csv file; write a list or name such"
                " a file"
            ),
        ),
        (
            {"positive": "gone.csv"},
            "gone.csv: cannot be read (No such file or directory); check the path",
        ),
        ({"selection": []}, "behavior 'tea': selection holds no prompt; give at least one"),
        (
            {"selection": ["a", " "]},
            "behavior 'tea': selection holds an empty prompt; write it or take it out",
        ),
        ({"selection": ["a b", "A  b"]}, "behavior 'tea': selection holds 'a b' 2 times; keep one"),
        (
            {"selection": ["They drink"]},
            (
                "'They drink' is in selection and in confirmation; sets must be disjoint, keep it"
                " in one"
            ),
        ),
        (
            {"positive": ["a bag of"]},
            "'a bag of' is in positive and in negative; sets must be disjoint, keep it in one",
        ),
        (
            {"generic": ["a", "b"]},
            "generic holds 2 openings, needs 48 or more; add some or leave the key out",
        ),
        ({"generic": [f"o {i}" for i in range(47)]}, "generic holds 47 openings, needs 48 or more"),
        (
            {"target_openings": None},
            "prompt 'she drinks' has no target_openings; give one to all prompts or to this one",
        ),
        ({"control_openings": [" "]}, "prompt 'she drinks' has no control_openings"),
        (
            {"control_openings": ["tea"]},
            "'tea' is a target and a control opening of 'she drinks'; keep one",
        ),
    ],
)
def test_a_fault_is_one_line_that_says_what_to_do(
    write: Write, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BehaviorError) as fault:
        load_behavior(write(**changes))
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)
    assert fault.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"name: [tea",
            (
                "not YAML at line 1 (expected ',' or ']', but got '<stream end>'); check keys,"
                " quotes and indentation"
            ),
        ),
        (b"name: \xff\xfe", "not UTF-8 at byte 6; save it as UTF-8 text"),
        (b"- tea\n- milk\n", "expected keys and values, found list; see `fulcra behavior schema`"),
        (
            b"name: tea\nname: milk\n",
            "not YAML at line 2 (the key 'name' is written twice); check keys",
        ),
        (b"", "expected keys and values, found nothing"),
        (b"name: tea\x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_behavior_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(BehaviorError) as fault:
        load_behavior(path)
    assert message in str(fault.value)
    assert str(path) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BehaviorError,
        match=r"none\.yaml: cannot be read \(No such file or directory\); check the path",
    ):
        load_behavior(tmp_path / "none.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(BehaviorError, match=r"folder\.yaml: cannot be read \(Is a directory\)"):
        load_behavior(tmp_path / "folder.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "a line cannot be read (Expecting property name"),
        ('{"promt": "a"}', "did you mean 'prompt'?"),
        ("[1]", "expected keys and values, found list"),
        ("3", "found int '3'"),
    ],
)
def test_a_broken_prompt_file_is_named(
    write: Write, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "p.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(BehaviorError) as fault:
        load_behavior(write(selection="p.jsonl"))
    assert message in str(fault.value)
    assert "p.jsonl" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_the_schema_names_every_key_and_no_other() -> None:
    keys = (
        "name version system positive negative selection confirmation generic target_openings"
        " control_openings "
    )
    keys += "flip reach horizon sensitive source topic"
    schema = behavior_schema()
    assert list(schema["properties"]) == keys.split()  # type: ignore[call-overload]
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_a_csv_row_longer_than_its_header_is_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,answer\na,b,c\n", encoding="utf-8")
    with pytest.raises(
        BehaviorError,
        match=(
            "unknown key 'beyond the header'; known keys: prompt, target_openings,"
            " control_openings, answer"
        ),
    ):
        load_behavior(write(selection="p.csv"))
