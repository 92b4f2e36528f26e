"""Files that once hung, crashed or ran out of memory: one line each, before anything is built."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra.backtest.split import read_split
from fulcra.behaviors.file import entries_of, read_behavior
from fulcra.behaviors.labelled import read_labelled
from fulcra.documents import DEPTH, JSON_BYTES, YAML_BYTES, YAML_VALUES, read_json, read_yaml
from fulcra.errors import InputError
from fulcra.release.policy import load_policy
from fulcra.store import AUDIT, COMMITMENT, MANIFEST, WHOLE, read_lines, read_rows
from fulcra.studies.recipe import Recipe
from fulcra.studies.verify import verify
from fulcra.types import Neuron
from tests.fuzz.answers import LONGEST, answer

BEHAVIOR = (
    "name: a\nversion: 1\nhorizon: 5\nflip: {regex: e}\npositive: [a]\nnegative: [b]\n"
    "selection: [c]\nconfirmation: [d]\ntarget_openings: [e]\ncontrol_openings: [f]\n"
)
#: Nine lists of nine aliases each, 300 bytes for 9**9 values.
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
LONG_BOMB = f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 100}]\n"
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10)
)
YAML = [
    (BOMB, "values or"),
    (LONG_BOMB, "values or"),
    (MERGE_BOMB, "values or"),
    ("a: &a [*a]\n", "stands inside of what it repeats"),
    ("a: &a {b: *a}\n", "stands inside of what it repeats"),
    ("[" * 100_000, "nested deeper than"),
    ("- " * 5_000 + "a", "nested deeper than"),
    ("{a: " * 10_000, "nested deeper than"),
    (f"a: [{'0, ' * 200_000}]", "values or"),
    ("a: !!int x\n", "'x' is no int"),
    ("a: !!float x\n", "'x' is no float"),
    ("a: !!bool x\n", "'x' is no bool"),
    ("a: !!timestamp x\n", "'x' is no timestamp"),
    ("a: 2026-99-99\n", "is no timestamp"),
    (f"a: {'9' * 5_000}\n", "a number of more than"),
    (f"a: 0x{'f' * 9_000}\n", "a number of more than"),
    (f"a: 1{':1' * 50_000}\n", "a number of more than"),
    ("a: *nothing\n", "not YAML"),
    ("a: 1\n? [b]\n: 2\n", "not YAML"),
    ("a: \0\n", "not YAML"),
]


def read_policy(path: Path) -> object:
    """The policy of a file."""
    return load_policy(str(path))


READERS: list[Callable[[Path], object]] = [read_behavior, read_split, read_policy]


def _refused(call: Callable[[], object], message: str) -> None:
    """The call refuses, in one short line, in less than two seconds, for this reason."""
    answer("hostile files", call)
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("text", "message"), YAML, ids=range(len(YAML)))
def test_hostile_yaml(
    tmp_path: Path, reader: Callable[[Path], object], text: str, message: str
) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    _refused(lambda: reader(path), message)


@pytest.mark.parametrize("reader", [*READERS, read_labelled, entries_of, Recipe.load])
def test_a_file_of_100_megabytes(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    _refused(lambda: reader(path), "more than [0-9,]+ bytes")


@pytest.mark.parametrize("reader", [*READERS, read_labelled, entries_of])
def test_what_is_no_file(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    _refused(lambda: reader(tmp_path / "pipe.jsonl"), "expected a file, found a pipe or device")
    _refused(lambda: reader(Path("/dev/zero")), "expected a file, found a pipe or device|jsonl")
    _refused(lambda: reader(tmp_path), "Is a directory|cannot be read")
    _refused(lambda: reader(tmp_path / "a\0b.jsonl"), "NUL|no bundled policy has this name")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", '"a\\0b"', "name 'a.x00b' cannot name a folder"),
        ("name", "../../a", "cannot name a folder"),
        ("name", '"a\\nb"', "cannot name a folder"),
        ("name", "a" * 300, "cannot name a folder"),
        ("selection", '"a\\0.jsonl"', "NUL"),
        ("flip", f"{{regex: '{'(' * 5000}'}}", "shorten it"),
        ("flip", f"{{regex: '{'(' * 3000}'}}", "is not a regular expression"),
        ("flip", "{regex: 'a{99999999999999999999}'}", "is not a regular expression"),
        ("flip", f"{{language: {'x' * 9000}}}", "is not a language code"),
        ("topic", "x" * 1000, "topic has 1,000 characters"),
        ("x" * 900, "1", "unknown key"),
        ("? [1]\n: 2\nz", "1", "not YAML"),
    ],
    ids=range(12),
)
def test_a_hostile_value_in_a_behavior(tmp_path: Path, key: str, value: str, message: str) -> None:
    path = tmp_path / "hostile.yaml"
    lines = [line for line in BEHAVIOR.splitlines() if not line.startswith(f"{key}:")]
    path.write_text("\n".join([*lines, f"{key}: {value}", ""]))
    _refused(lambda: read_behavior(path), message)


def test_many_lineages_of_one_name_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "split.yaml"
    names = "".join(f"- {{name: n{i}, recipe: a}}\n" for i in range(5_000))
    path.write_text(f"development:\n{names}held_out:\n- {{name: n1, recipe: b}}\n")
    _refused(lambda: read_split(path), "lineage n1 stands there twice")


def test_a_split_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "split.yaml").write_bytes(b"development: \xff")
    _refused(lambda: read_split(tmp_path / "split.yaml"), "not UTF-8 at byte 13")


JSON = [
    ("[" * 10_000, "nested deeper than"),
    ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "nested deeper than"),
    (f'{{"a": {"9" * 5_000}}}', "digits"),
    (f"[{'0,' * 2_000_000}0]", "values"),
    ('{"a": "\\ud800"}', "half a character"),
    ("\0", "Expecting value"),
]


@pytest.mark.parametrize("name", [MANIFEST, COMMITMENT, AUDIT])
@pytest.mark.parametrize(("text", "message"), JSON, ids=range(len(JSON)))
def test_hostile_json_in_a_run(tmp_path: Path, name: str, text: str, message: str) -> None:
    run = _run(tmp_path)
    (run / name).unlink()
    (run / name).write_text(text)
    _refused(lambda: verify(run), message)


@pytest.mark.parametrize(("text", "message"), JSON, ids=range(len(JSON)))
def test_a_hostile_recipe(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    _refused(lambda: Recipe.load(tmp_path), message)


@pytest.mark.parametrize("text", ["[" * 10_000, "9" * 5_000, '{"text": "\\ud800", "label": true}'])
def test_hostile_json_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(text)
    _refused(lambda: read_labelled(path), "line 1 is not like")
    _refused(lambda: entries_of(path), "a line cannot be read")
    assert list(read_lines(path)) == []


def test_a_table_that_is_none(tmp_path: Path) -> None:
    for content in (b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"\xff" * 100):
        (tmp_path / WHOLE).write_bytes(content)
        _refused(lambda: read_rows(tmp_path / WHOLE), "expected a table written by fulcra")


@pytest.mark.parametrize(
    "name",
    [
        *("L" + "9" * 5_000 + ".N1", "L1.N" + "9" * 5_000, "L1.N1.E" + "9" * 5_000),
        *("L1" + " " * 100_000 + "x", "L1.N\0", "L\u0661.N\u0662", "", "L9999999999.N1"),
    ],
    ids=range(8),
)
def test_a_hostile_neuron_name(name: str) -> None:
    _refused(lambda: Neuron.parse(name), "expected a name like L14")


def test_what_is_within_bounds_is_read() -> None:
    assert read_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}\n") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1},
    }
    assert read_yaml(f"[{'0, ' * (YAML_VALUES - 2)}0]") == [0] * (YAML_VALUES - 1)
    assert read_json(json.dumps({"a": "\U0001f600"})) == {"a": "\U0001f600"}
    assert read_json("[" * DEPTH + "]" * DEPTH)
    assert YAML_BYTES < JSON_BYTES
    assert LONGEST <= 2


def _run(folder: Path) -> Path:
    """A folder with the files of the published run, none of them copied."""
    source = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"
    for name in (MANIFEST, COMMITMENT, AUDIT, WHOLE):
        (folder / name).symlink_to(source / name)
    return folder
