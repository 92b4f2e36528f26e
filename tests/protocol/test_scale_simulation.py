"""The simulated scheduler: what it must give by hand, and a pool of real workers beside it."""

import math
import random
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulcra.errors import InputError
from fulcra.protocol.scale.simulation import LOSSES, Cluster, simulated, stragglers

#: Sleeping is work that four nodes can do on two processors.
SETUP = "from time import sleep"
DURATIONS = st.lists(st.floats(0.01, 10), min_size=1, max_size=60)


@given(DURATIONS, st.integers(1, 6), st.integers(1, 3))
def test_a_run_lies_between_the_least_and_the_most_that_greedy_hand_outs_can_take(
    shards: list[float], nodes: int, replicas: int
) -> None:
    run = simulated(shards, Cluster(nodes, replicas))
    least = max(max(shards), sum(shards) / (nodes * replicas))
    assert least * (1 - 1e-9) <= run.makespan <= 2 * least * (1 + 1e-9)  # Graham's bound
    assert math.isclose(run.worked, sum(shards))
    assert (run.lost, run.again, run.ended) == (0, 0, True)
    assert 0 < run.utilisation <= 1 + 1e-9


def test_equal_shards_opening_and_the_driver_add_up() -> None:
    assert simulated([1.0] * 8, Cluster(2)).makespan == 4
    assert simulated([1.0] * 8, Cluster(1, 2, opening=0.5)).makespan == 4.5
    assert simulated([1.0] * 4, Cluster(1, handing=0.25)).makespan == 5
    # a driver that hands out too slowly starves all replicas but the first few
    slow = simulated([1.0] * 100, Cluster(50, handing=1.0))
    assert slow.makespan == pytest.approx(101)
    assert slow.utilisation < 0.03


@given(DURATIONS, st.integers(0, 50))
def test_failures_cost_time_and_lose_no_shard(shards: list[float], seed: int) -> None:
    calm = Cluster(3, 2, opening=0.1)
    stormy = calm._replace(failure=40.0, repair=0.5)
    run = simulated(shards, stormy, seed)
    assert run == simulated(shards, stormy, seed)
    if run.ended:
        assert math.isclose(run.worked, sum(shards))
    assert (run.lost > 0) <= (run.again > 0)
    assert run.again or run.makespan <= 2 * simulated(shards, calm).makespan + 1


def test_the_last_node_may_hold_fewer_replicas() -> None:
    nine = Cluster(2, 8, absent=7)
    run = simulated([1.0] * 18, nine)
    assert (run.makespan, run.slots, run.utilisation) == (2, 9, 1)
    # a node that fails takes its own replicas alone, the last one too
    stormy = simulated([1.0] * 90, nine._replace(failure=30.0, repair=1.0), seed=3)
    assert stormy.ended
    assert math.isclose(stormy.worked, 90)
    with pytest.raises(InputError, match=r"simulated\(\)"):
        simulated([1.0], Cluster(1, 8, absent=8))


def test_a_shard_that_always_loses_its_replica_ends_the_run() -> None:
    run = simulated([1000.0], Cluster(1, failure=1.0, repair=0.1))
    assert not run.ended
    assert run.again == LOSSES
    assert run.worked == 0


def test_a_heavy_tail_keeps_its_mean_and_costs_utilisation() -> None:
    shards = stragglers(10.0, 4000, 0.5)
    assert sum(shards) / len(shards) == pytest.approx(10)
    assert max(shards) > 30
    assert stragglers(10.0, 3, 0.0) == pytest.approx([10.0] * 3)
    few = Cluster(125, 8)
    even = simulated([10.0] * 4000, few).utilisation
    assert simulated(shards, few).utilisation < even == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shards", "cluster"),
    [([], Cluster(1)), ([1.0], Cluster(0)), ([-1.0], Cluster(1)), ([1.0], Cluster(1, failure=0.0))],
)
def test_a_run_that_cannot_be_is_refused(shards: list[float], cluster: Cluster) -> None:
    with pytest.raises(InputError, match=r"^simulated\(\): "):
        simulated(shards, cluster)


def pooled(shards: list[float], workers: int) -> tuple[float, list[float]]:
    """Wall seconds of sleeping shards on worker processes, and what each shard itself took.

    A worker gets the next shard once its last is back, as a replica of a cluster does.
    """
    running: set[Future[float]] = set()
    futures: list[Future[float]] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        list(pool.map(time.sleep, [0.2] * workers))  # every worker has begun
        start = time.perf_counter()
        for seconds in shards:
            if len(running) == workers:
                _, running = wait(running, return_when=FIRST_COMPLETED)
            futures.append(pool.submit(timeit, f"sleep({seconds})", SETUP, number=1))
            running.add(futures[-1])
        wait(running)
        return time.perf_counter() - start, [future.result() for future in futures]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pool_of_real_processes_takes_what_was_simulated(workers: int) -> None:
    rng = random.Random(workers)
    wall, shards = pooled([rng.choice((0.1, 0.2, 0.3, 0.8)) for _ in range(8)], workers)
    assert wall == pytest.approx(simulated(shards, Cluster(workers)).makespan, rel=0.2)
