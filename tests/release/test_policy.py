"""A policy is a few limits; a misspelt one names the nearest in one line."""

from pathlib import Path

import pytest

from fulcra.errors import InputError
from fulcra.release.policy import load_policy, policy_names
from tests.release.conftest import Written


def test_every_bundled_policy_is_named_after_its_file() -> None:
    assert policy_names() == ["next-release", "release"]
    assert all(load_policy(name).name == name for name in policy_names())


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"open_fractoin": 0.1}, "unknown limit 'open_fractoin'; did you mean 'open_fraction'?"),
        ({"coverage": {"randon": 4}}, "unknown limit 'coverage.randon'; did you mean 'random'?"),
        ({"xyzzy": 1}, "limits: open_fraction, smallest_open_gain"),
        ({"open_fraction": 1.5}, "open_fraction: Input should be less than or equal to 1"),
        ({"open_fraction": True}, "open_fraction: Input should be a valid number"),
        ({"strict_reach": float("nan")}, "strict_reach"),
        ({"name": "empty"}, "sets no limit"),
        ({"coverage": 3}, "coverage: expected limits by name, like {random: 0.1}; found '3'"),
        ({"name": "a\nb", "verified": True}, "name: Value error, expected printable characters"),
        ({"name": "a\x1b[31m", "verified": True}, "expected printable characters on one line"),
    ],
)
def test_a_wrong_limit_is_one_line(
    policy_file: Written, limits: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        load_policy(str(policy_file(**limits)))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "- a", "a: b: c", "a: 1\na: 2", "\x00"])
def test_what_is_no_yaml_of_limits_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"policy .*policy\.yaml"):
        load_policy(str(path))


def test_a_file_that_cannot_be_read_or_parsed_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("a: *nothing\n")
    with pytest.raises(InputError, match=r"not YAML at line 1 \(found undefined alias"):
        load_policy(str(tmp_path / "policy.yaml"))
    with pytest.raises(
        InputError,
        match=r"gone\.yaml: cannot be read \(No such file",
    ):
        load_policy(str(tmp_path / "gone.yaml"))


def test_a_misspelt_bundled_policy_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'release'"):
        load_policy("relaese")
    with pytest.raises(InputError, match=r"gone\.yaml"):
        load_policy(str(tmp_path / "gone.yaml"))


def test_the_hash_is_that_of_the_limits_and_not_of_the_words(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    paths[0].write_text("name: x\nopen_fraction: 0.1 # a word\n")
    paths[1].write_text("open_fraction: 0.1\nname: x\n")
    one, other = (load_policy(str(path)) for path in paths)
    assert one.sha256 == other.sha256 != load_policy("release").sha256
