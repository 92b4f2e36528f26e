"""The same sweep by replicas on a Ray cluster of this machine and by this process, turn about."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from statistics import median
from time import perf_counter

import psutil
from pairs import Row, median_interval
from setting import SMALL, Size, model, requests, rows, settings
from sweep import Tokens

from fulcra.engines.cluster import RayEngine, connected
from fulcra.engines.engine import run
from fulcra.engines.fleet import Size as Replicas
from fulcra.types import RolloutRequest

#: Four times the sweep of the other rows: four shards, so that there is something to hand out.
TIMES = 4


def cpu_seconds() -> float:
    """CPU seconds of this process and of all that it has begun: Ray's servers and the replicas."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def taken(work: Callable[[], Tokens]) -> tuple[float, float, Tokens]:
    """CPU seconds, wall seconds, and the rollouts."""
    cpu, wall = cpu_seconds(), perf_counter()
    result = work()
    return cpu_seconds() - cpu, perf_counter() - wall, result


def rounds_of(work: Sequence[RolloutRequest], rounds: int) -> Row:
    """Local, Ray, local, so often; one replica of one processor, begun and warm before."""
    ratios, walls, nulls, mine, theirs, same = [], [], [], [], [], True

    def local() -> Tokens:
        return rows(run(model(), work))

    with connected(None) as ray:
        engine = RayEngine(model(), ray, Replicas(1))

        def by_ray() -> Tokens:
            shards = (item for shard in engine.run_shards(work) for item in shard.items())
            return rows([rollout for _, rollout in sorted(shards)])

        by_ray()
        for _ in range(rounds):
            (before, wall_before, expected), (own, wall, tokens) = taken(local), taken(by_ray)
            after, wall_after, _ = taken(local)
            ratios.append((before + after) / 2 / own)
            walls.append(2 * wall / (wall_before + wall_after))
            nulls.append(before / after)
            mine.append(own)
            theirs.append((before + after) / 2)
            same = same and tokens == expected
        engine.close()
    count = sum(map(len, expected))
    here, there = (round(count / median(seconds)) for seconds in (theirs, mine))
    speed = f"{here} tokens a CPU second here, {there} by Ray"
    print(
        f"ray_vs_local: wall overhead {median(walls):.3f} of {sorted(walls)}; {speed}", flush=True
    )
    ratio, (low, high) = median(ratios), median_interval(ratios)
    peer = "this process"
    sides = (median(mine), peer, median(theirs), ratio, 1 / ratio, low, high)
    return Row("ray_vs_local", *sides, *median_interval(nulls), same)


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """The row of the cluster; none, and a line, where Ray is not installed."""
    if not wanted("ray_vs_local"):
        return []
    if find_spec("ray") is None:
        print("ray_vs_local: skipped, Ray is not installed here (pip install 'fulcra[ray]')")
        return []
    more = size if size == SMALL else size._replace(neurons_a_layer=TIMES * size.neurons_a_layer)
    row = rounds_of(requests(settings(more)), rounds)
    print(row.json(), flush=True)
    return [row]
