"""What `--engine vllm` refuses before anything is loaded; its rollouts are tested in tests/vllm."""

from pathlib import Path

import pytest

from fulcra.engines.vllm import load
from tests.cli.conftest import Call


@pytest.mark.parametrize(
    ("number", "says"),
    [("0.33.0", "vLLM 0.33.0: fulcra's edits were tested on 0.32"), (None, "is not installed")],
)
def test_no_vllm_or_another_release_is_one_line_before_anything_is_loaded(
    number: str | None,
    says: str,
    fulcra: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if number is None:
            raise load.PackageNotFoundError(name)
        return number

    monkeypatch.setattr(load, "version", version)
    assert says in fulcra("audit", "--engine", "vllm", "--out", tmp_path / "run").refusal
    assert not (tmp_path / "run").exists()


def test_devices_that_share_a_layer_are_an_option_of_vllm_alone(fulcra: Call) -> None:
    for engine in ((), ("--engine", "ray")):
        refusal = fulcra("audit", *engine, "--tensor-parallel", "2", "--dry-run").refusal
        assert "--tensor-parallel needs --engine vllm" in refusal
        refusal = fulcra("audit", *engine, "--graphs", "--dry-run").refusal
        assert "--graphs needs --engine vllm" in refusal
    refusal = fulcra("audit", "--engine", "vllm", "--replicas", "2", "--dry-run").refusal
    assert "--replicas needs --engine ray" in refusal
