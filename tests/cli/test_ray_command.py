"""`fulcra audit --engine ray` on a real cluster, killed and resumed, is the local audit."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fulcra.protocol.shards import read_rollouts
from fulcra.store import COMMITMENT
from tests.cli.conftest import Call

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

SMALL = ("--neurons", "1", "--random", "0", "--screen", "contrastive", "--json")
PATIENCE = 500


def driven(arguments: tuple[object, ...], until: Path | None = None) -> tuple[int, str, str]:
    """The command in a process of its own; killed by SIGKILL as soon as `until` exists."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fulcra.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while until is not None and process.poll() is None and time.monotonic() < deadline:
        if any(until.parent.glob(until.name)):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_driver_goes_on_and_ends_with_the_local_audit(
    cluster: "Cluster", fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    command = ("audit", "-b", behavior_file, *SMALL, "--out")
    ray = ("--engine", "ray", "--address", cluster.address)
    killed = driven((*command, folder, *ray), folder / "rollouts" / "confirmation-0.*.parquet")
    assert (killed[0], killed[1]) == (-signal.SIGKILL, "")
    shards = {path: path.stat().st_mtime_ns for path in (folder / "rollouts").iterdir()}
    assert shards
    assert not list((folder / "rollouts").glob("control-0.*.parquet"))

    code, out, err = driven((*command, folder, *ray))
    once = fulcra(*command, whole)
    assert code == once.code, err
    first, second = json.loads(out), json.loads(once.out)
    for result in (first, second):
        result.pop("timing")
    engines = [result["provenance"].pop("engine") for result in (first, second)]
    assert [engine["name"] for engine in engines] == ["ray", "local"]
    assert first == second
    assert (folder / COMMITMENT).read_bytes() == (whole / COMMITMENT).read_bytes()
    assert read_rollouts(folder) == read_rollouts(whole)
    names = [sorted(path.name for path in (run / "rollouts").iterdir()) for run in (folder, whole)]
    assert names[0] == names[1]
    assert {path: path.stat().st_mtime_ns for path in shards} == shards


def test_an_option_of_the_cluster_alone_is_no_option_of_this_process(fulcra: Call) -> None:
    for option in (("--address", "127.0.0.1:6379"), ("--replicas", "2"), ("--replica-gpus", "1")):
        refusal = fulcra("audit", *option, "--dry-run").refusal
        assert f"{option[0]} needs --engine ray" in refusal


@pytest.mark.ray
def test_an_address_without_a_cluster_is_one_line_before_anything_is_loaded(
    fulcra: Call, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    command = ("audit", "--out", tmp_path / "run", "--engine", "ray", "--address")
    assert "no Ray cluster answers" in fulcra(*command, "127.0.0.1:1").refusal
    assert "expected host:port" in fulcra(*command, "nowhere").refusal
    assert not (tmp_path / "run").exists()
