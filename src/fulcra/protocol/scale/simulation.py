"""The scheduler on paper: shards over replicas that open, straggle, fail and come back."""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fulcra.errors import InputError

#: How often a shard may lose its replica before the run is ended, as the engine on a cluster does.
LOSSES = 3
#: The spread of a heavy tail: the logarithm of a shard's seconds has this standard deviation.
TAIL = 0.5


class Cluster(NamedTuple):
    """Nodes with replicas of one model; all times in seconds.

    replicas: of every node, but that the last has `absent` fewer. opening: until a replica that
    begins can take its first shard. handing: what the driver needs for one shard, one after
    another. failure: mean time until a node fails, None: never. repair: until its replicas begin
    again.
    """

    nodes: int
    replicas: int = 1
    opening: float = 0.0
    handing: float = 0.0
    failure: float | None = None
    repair: float = 300.0
    absent: int = 0

    @property
    def slots(self) -> int:
        """The replicas of all nodes."""
        return self.nodes * self.replicas - self.absent


class Simulated(NamedTuple):
    """What came of a run: its length and what was worked in it [s], shards that ran again.

    `ended` is False where a shard lost its replica too often, and the run stopped there.
    """

    makespan: float
    worked: float
    lost: float
    again: int
    slots: int
    ended: bool

    @property
    def utilisation(self) -> float:
        """The share of the replicas' time that went into shards which counted."""
        return self.worked / (self.slots * self.makespan) if self.makespan else 0.0


Kind = Literal["begin", "ready", "done", "fail"]


class _Event(NamedTuple):
    """What happens when; of a replica only while its `life` is still the same."""

    time: float
    order: int
    kind: Kind
    place: int
    life: int = 0


@dataclass(slots=True)
class _Replica:
    """One replica: how often its node failed, and the shard it has since when."""

    life: int = 0
    shard: int | None = None
    since: float = 0.0


@dataclass(slots=True)
class _State:
    """All of a run while it is simulated."""

    cluster: Cluster
    shards: Sequence[float]
    rng: random.Random
    events: list[_Event] = field(default_factory=list)
    replicas: list[_Replica] = field(default_factory=list)
    idle: deque[int] = field(default_factory=deque)
    waiting: deque[int] = field(default_factory=deque)
    losses: Counter[int] = field(default_factory=Counter)
    driver: float = 0.0
    worked: float = 0.0
    lost: float = 0.0
    left: int = 0
    pushed: int = 0

    def push(self, time: float, kind: Kind, place: int, life: int = 0) -> None:
        """One more event; of two at the same time that comes first which was pushed first."""
        self.pushed += 1
        heapq.heappush(self.events, _Event(time, self.pushed, kind, place, life))


def simulated(shards: Sequence[float], cluster: Cluster, seed: int = 0) -> Simulated:
    """A run of shards of so many seconds each, in their order, by discrete events.

    A replica has one shard at a time and gets the next once that is back (back-pressure); a shard
    whose replica was lost goes first. Shards, failures and their order follow from the arguments.
    """
    _require(shards, cluster)
    state = _State(cluster, shards, random.Random(f"simulated-{seed}"))
    state.waiting.extend(range(len(shards)))
    state.left = len(shards)
    state.replicas = [_Replica() for _ in range(cluster.slots)]
    for place in range(len(state.replicas)):
        state.push(cluster.opening, "ready", place)
    for node in range(cluster.nodes):
        _next_failure(state, node, 0.0)
    now = 0.0
    while state.left and max(state.losses.values(), default=0) < LOSSES:
        event = heapq.heappop(state.events)
        now = event.time
        _happen(state, event)
        _hand_out(state, now)
    return Simulated(
        makespan=now,
        worked=state.worked,
        lost=state.lost,
        again=state.losses.total(),
        slots=len(state.replicas),
        ended=not state.left,
    )


def _require(shards: Sequence[float], cluster: Cluster) -> None:
    """InputError for a run that cannot be: nothing to do, nobody to do it, times below zero."""
    times = (*shards, cluster.opening, cluster.handing, cluster.repair)
    nobody = cluster.nodes < 1 or not 0 <= cluster.absent < cluster.replicas
    if not shards or nobody or min(times) < 0:
        raise InputError(
            f"simulated(): {len(shards)} shards on {cluster.nodes} nodes of {cluster.replicas}"
            " replicas; give at least one of each, and no time below 0"
        )
    if cluster.failure is not None and not cluster.failure > 0:
        raise InputError(f"simulated(): nodes fail every {cluster.failure:g} s; give more than 0")


def _next_failure(state: _State, node: int, now: float) -> None:
    if state.cluster.failure is not None:
        state.push(now + state.rng.expovariate(1 / state.cluster.failure), "fail", node)


def _happen(state: _State, event: _Event) -> None:
    if event.kind == "fail":
        _fail(state, event)
        return
    replica = state.replicas[event.place]
    if replica.life != event.life:
        return
    if event.kind == "begin":
        state.push(event.time + state.cluster.opening, "ready", event.place, event.life)
        return
    if event.kind == "done" and replica.shard is not None:
        state.worked += state.shards[replica.shard]
        state.left -= 1
        replica.shard = None
    state.idle.append(event.place)


def _fail(state: _State, event: _Event) -> None:
    """A node is lost with all its replicas, and begins anew after its repair."""
    size, back = state.cluster.replicas, event.time + state.cluster.repair
    past = min((event.place + 1) * size, len(state.replicas))
    for place in range(event.place * size, past):
        replica = state.replicas[place]
        replica.life += 1
        if replica.shard is not None:
            state.lost += max(0.0, event.time - replica.since)
            state.losses[replica.shard] += 1
            state.waiting.appendleft(replica.shard)
            replica.shard = None
        elif place in state.idle:
            state.idle.remove(place)
        state.push(back, "begin", place, replica.life)
    _next_failure(state, event.place, back)


def _hand_out(state: _State, now: float) -> None:
    """A shard for every replica that waits, handed out by the one driver in turn."""
    while state.waiting and state.idle:
        place, shard = state.idle.popleft(), state.waiting.popleft()
        state.driver = max(state.driver, now) + state.cluster.handing
        replica = state.replicas[place]
        replica.shard, replica.since = shard, state.driver
        state.push(state.driver + state.shards[shard], "done", place, replica.life)


def stragglers(mean: float, count: int, tail: float = TAIL, seed: int = 0) -> list[float]:
    """Seconds of `count` shards with that very mean and a heavy (lognormal) tail; 0 is no tail."""
    rng = random.Random(f"stragglers-{seed}")
    drawn = [rng.lognormvariate(0.0, tail) for _ in range(count)]
    unit = mean * count / math.fsum(drawn)
    return [unit * seconds for seconds in drawn]
