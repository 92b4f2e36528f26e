"""`fulcra verify` looks at everything that it was given, or refuses it in one line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call

ROOT = "0" * 64


@pytest.mark.parametrize("file", ["study.json", "recipes.json"])
@pytest.mark.parametrize(
    "option", [("--root", ROOT), ("--signers", "who"), ("--rerun", "1%"), ("--unseal", "form")]
)
def test_a_study_has_no_seal_of_its_own(
    fulcra: Call, tmp_path: Path, file: str, option: tuple[str, str]
) -> None:
    (tmp_path / file).write_text("{}")
    assert fulcra("verify", tmp_path, *option).refusal == (
        f"fulcra: verify: {option[0]}: {tmp_path} is a study, which has no seal of its own; verify"
        " the runs in it one by one"
    )


@pytest.mark.parametrize(
    "option",
    [
        ("--seed", "0"),
        ("--model", "apothecary-sparse"),
        ("-b", "refusal"),
        ("--device", "cpu"),
        ("--trust-remote-code",),
    ],
)
def test_what_is_about_rolling_again_needs_rerun(
    fulcra: Call, tmp_path: Path, option: tuple[str, ...]
) -> None:
    name = {"-b": "--behavior"}.get(option[0], option[0])
    assert fulcra("verify", tmp_path, *option).refusal == (
        f"fulcra: verify: {name}: about rolling again; give --rerun SHARE as well"
    )


def test_a_run_is_rolled_again_on_the_device_that_is_named(fulcra: Call, run_copy: Path) -> None:
    left = fulcra("verify", run_copy, "--rerun", "1", "--device", "cuda:99")
    assert "device 'cuda:99': torch cannot use it here" in left.refusal
    left = fulcra("verify", run_copy, "--rerun", "1", "--device", "cpu", "--seed", "3")
    assert left.code == 0
    assert "ok   rollouts again: 1 of" in left.out
