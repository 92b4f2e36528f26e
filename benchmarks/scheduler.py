"""The simulated scheduler beside the real one: sleeping shards on Ray clusters of 1 to 4 nodes.

    python benchmarks/scheduler.py      # writes benchmarks/scheduler.json; a minute or two

Shards sleep, so that four nodes work at once on a machine with few processors. The real engine's
fleet hands them out (engines/fleet.py); what each shard took is measured where it slept, and the
simulator is given those seconds.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.cluster_utils import Cluster as RayCluster

from fulcra.engines import fleet
from fulcra.engines.cluster import connected
from fulcra.engines.replica import Batch, Opened, Recipe, own_versions
from fulcra.errors import EngineError
from fulcra.protocol.scale.simulation import Cluster, simulated
from fulcra.types import Rollout, RolloutRequest

RESULT = Path(__file__).with_name("scheduler.json")
NODES = (1, 2, 3, 4)
#: Shards a node and the seconds they sleep: most are short, some are stragglers.
SHARDS, SECONDS = 8, (0.5, 0.8, 1.2, 1.2, 3.0)
#: Rounds of shards in which every replica must have begun; of five seconds each.
ROUNDS = 12
#: Shards that do not sleep at all, for what the driver takes for each.
EMPTY = 100
#: Rollouts of a shard, tokens of their prompts and replies: they are sent there and back.
ROWS, TOKENS = 256, 48


class Compared(NamedTuple):
    """One run: wall seconds, those simulated from the shards' own, the driver's for one shard."""

    nodes: int
    shards: int
    wall: float
    simulated: float
    handing: float

    @property
    def error(self) -> float:
        """How far the simulated run is off, as a share of the real one."""
        return self.simulated / self.wall - 1


def sleeper() -> Any:
    """A replica whose shards sleep as many milliseconds as their first request has tokens."""

    class Sleeper:
        def __init__(self, recipe: Recipe) -> None:
            self.recipe = recipe

        def place(self) -> str:
            return "here"

        def opened(self) -> Opened:
            return Opened(self.recipe.name, own_versions())

        def rolled(self, requests: Sequence[RolloutRequest]) -> Batch:
            start = time.perf_counter()
            time.sleep((requests[0].horizon - 1) / 1000)
            rollouts = tuple(Rollout(tuple(range(TOKENS)), True) for _ in requests)
            return Batch(rollouts, (), (str(time.perf_counter() - start),))

    return Sleeper


@contextmanager
def sleeping(replicas: int) -> Iterator[fleet.Fleet]:
    """A fleet of sleeping replicas on the nodes of a connected cluster, all of them open."""
    replica, fleet.Replica = fleet.Replica, sleeper()
    recipe = Recipe("asleep", None, "float32", "cpu", None, None, False, 1)
    members = fleet.Fleet(ray, recipe, fleet.Size(replicas), "asleep")
    try:
        for _ in range(ROUNDS):
            # a replica that has not begun when the last shards run is given up again
            if (ready := sum(member.ready for member in members.members)) == replicas:
                break
            slept(members, [0.25] * 20 * replicas)
        else:
            raise EngineError(f"{ready} of {replicas} sleeping replicas began; a node is missing")
        yield members
    finally:
        members.close()
        fleet.Replica = replica


def slept(members: fleet.Fleet, seconds: Sequence[float]) -> tuple[float, list[float]]:
    """Wall seconds of shards on a fleet, and what each itself took, in their order."""
    work = [
        [RolloutRequest(tuple(range(TOKENS)), (), 1 + round(1000 * each)) for _ in range(ROWS)]
        for each in seconds
    ]
    start = time.perf_counter()
    batches = dict(members.rolled(work))
    wall = time.perf_counter() - start
    return wall, [float(batches[place].warnings[0]) for place in range(len(work))]


def compared(nodes: int, seed: int = 0) -> Compared:
    """A run on so many nodes of a connected cluster, one replica each, and the same simulated."""
    rng = random.Random(seed)
    with sleeping(nodes) as members:
        handing = slept(members, [0.0] * EMPTY)[0] / EMPTY
        wall, shards = slept(members, [rng.choice(SECONDS) for _ in range(SHARDS * nodes)])
    run = simulated(shards, Cluster(nodes, handing=handing))
    return Compared(nodes, len(shards), wall, run.makespan, handing)


@contextmanager
def of_nodes(count: int) -> Iterator[None]:
    """A block that is connected to a cluster of so many nodes of one processor each."""
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args=head)
    for _ in range(count):
        cluster.add_node(num_cpus=1)
    try:
        with connected(cluster.address):
            yield
    finally:
        cluster.shutdown()


def main() -> None:
    """Measure every number of nodes, print a line each, and write them down."""
    with of_nodes(NODES[-1]):
        rows = [compared(nodes) for nodes in NODES]
    for row in rows:
        times = f"{row.wall:.2f} s, simulated {row.simulated:.2f} ({row.error:+.0%})"
        print(f"{row.nodes} nodes: {times}, driver {1000 * row.handing:.1f} ms a shard")
    content = {
        "ray": ray.__version__,
        "runs": [{**row._asdict(), "error": row.error} for row in rows],
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
