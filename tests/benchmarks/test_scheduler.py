"""The simulated scheduler within 20 % of real Ray clusters of 1 to 4 nodes, whose shards sleep."""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

from fulcra.errors import EngineError

FOLDER = Path(__file__).parents[2] / "benchmarks"
#: How far the simulated run may be off, as a share of the real one.
OFF = 0.2
#: Processes a processor that want to run, beyond which nothing is timed: sleepers wake too late.
CROWDED = 3.0


def crowded() -> str:
    """Why this machine can time no cluster now; empty where it can."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return f"{waiting:.1f} processes wait for each processor" if waiting > CROWDED else ""


def missing(scheduler: ModuleType) -> str:
    """Why the cluster is not the one to be timed: which nodes it has lost; empty where none."""
    alive = sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in nodes(scheduler))
    return "" if alive >= 4 else f"{alive} of 4 nodes hold their heartbeat"


def nodes(scheduler: ModuleType) -> list[dict[str, Any]]:
    """All nodes that the cluster ever had, as Ray lists them."""
    listed: list[dict[str, Any]] = scheduler.ray.nodes()
    return listed


def off_by(scheduler: ModuleType, nodes: int, seed: int) -> float:
    """How far the simulated run is off; the test is skipped where the cluster fell apart."""
    try:
        return abs(float(scheduler.compared(nodes, seed).error))
    except EngineError as error:
        if reason := missing(scheduler) or crowded():
            pytest.skip(f"{reason} ({error})")
        raise


@pytest.fixture(scope="module")
def scheduler(cluster: "Cluster") -> Iterator[ModuleType]:
    """The benchmark, connected to a cluster of four nodes of one processor each."""
    spec = importlib.util.spec_from_file_location("scheduler", FOLDER / "scheduler.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["scheduler"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        more = [cluster.add_node(num_cpus=1) for _ in range(2)]
    except Exception as error:  # Ray raises a bare one where a node does not come up in time
        if reason := crowded():
            pytest.skip(f"{reason} ({str(error).splitlines()[0]})")
        raise
    with module.connected(cluster.address):
        yield module
    for node in more:
        cluster.remove_node(node)


# what Ray itself leaves open or deprecates is not ours
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_a_real_cluster_takes_what_was_simulated(scheduler: ModuleType, nodes: int) -> None:
    # beside other work a run of seconds may be held up: one of two must do
    if any(off_by(scheduler, nodes, seed) <= OFF for seed in (1, 2)):
        return
    if reason := missing(scheduler) or crowded():
        pytest.skip(reason)
    pytest.fail(f"{nodes} nodes: both simulated runs are more than {OFF:.0%} off")


def test_the_runs_that_the_page_shows_were_within_the_same_share() -> None:
    runs = json.loads((FOLDER / "scheduler.json").read_text(encoding="utf-8"))["runs"]
    assert [run["nodes"] for run in runs] == [1, 2, 3, 4]
    for run in runs:
        assert run["error"] == pytest.approx(run["simulated"] / run["wall"] - 1)
        assert abs(run["error"]) <= OFF
