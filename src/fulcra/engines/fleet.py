"""The replicas of a Ray cluster: begun as nodes come, replaced where they die, one shard each."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, final

from fulcra.engines.incidents import Lost, tell
from fulcra.engines.replica import Batch, Opened, Recipe, Replica, own_versions
from fulcra.errors import EngineError
from fulcra.types import RolloutRequest

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

logger = logging.getLogger(__name__)

#: How often a shard may lose the replica that runs it: one that always does has too little memory.
LOSSES = 3
#: How many replicas in a row may fail to open the model before no more are begun.
REFUSALS = 3
#: Seconds without any replica after which the cluster counts as full, or as gone.
PATIENCE = 300.0
#: Seconds between two looks at which nodes there are.
LOOK = 1.0
#: What a user does who is told of a loss.
AGAIN = "what is finished stands: the same command, with the same --out, goes on"


class Size(NamedTuple):
    """How many replicas there should be, None: as many as fit, and what one takes of a node.

    `memory` is in bytes.
    """

    replicas: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0

    def __str__(self) -> str:
        return _sizes(self.cpus, self.gpus, self.memory)

    def fitting(self, resources: dict[str, float]) -> int:
        """How many replicas fit on a node."""
        needs = (("CPU", self.cpus), ("GPU", self.gpus), ("memory", self.memory))
        return min(int(resources.get(kind, 0) / need) for kind, need in needs if need > 0)


@dataclass(slots=True, eq=False)
class Member:
    """One replica: its actor, its machine once it runs, the shard it has."""

    actor: "ActorHandle[Replica]"
    place: str = ""
    ready: bool = False
    shard: int | None = None


@final
class Fleet:
    """Replicas of one model on a cluster that is connected; they stay between two sweeps.

    A replica has one shard at a time and gets the next as soon as that is back, so what is under
    way is bounded by the number of replicas. `sha256` is the hash of the driver's weights.
    """

    def __init__(self, ray: ModuleType, recipe: Recipe, size: Size, sha256: str) -> None:
        self.ray, self.recipe, self.size, self.sha256 = ray, recipe, size, sha256
        self.members: list[Member] = []
        # what is waited for, and whose it is: that a replica runs, has opened, has rolled
        self.pending: dict[ObjectRef, Member] = {}
        self.refusals: list[str] = []
        self.fitting, self.looked, self.alive = 0, -LOOK, time.monotonic()
        self._look()
        if not self.fitting:
            raise EngineError(
                f"--engine ray: no node of the cluster has the {size} of a replica"
                f" ({self._nodes()}); set --replica-cpus and --replica-gpus, or add a node"
            )

    def rolled(self, work: Sequence[Sequence[RolloutRequest]]) -> Iterator[tuple[int, Batch]]:
        """The batch of every shard of `work`, by its place, as they finish."""
        waiting, losses = deque(range(len(work))), Counter[int]()
        left = len(work)
        self.alive = time.monotonic()
        try:
            while left:
                self._keep_up(left)
                self._hand_out(waiting, work)
                for place, batch in self._finished(waiting, losses):
                    # first its next shard: whoever takes the batch may take long
                    self._hand_out(waiting, work)
                    left -= 1
                    yield place, batch
        finally:
            for member in [member for member in self.members if member.shard is not None]:
                # left in the middle: what it still rolls is nobody's
                self._drop(member)

    def close(self) -> None:
        """End every replica; a further sweep would begin new ones."""
        for member in list(self.members):
            self._drop(member)

    def _keep_up(self, left: int) -> None:
        """As many replicas as there should be for so many shards; EngineError where none can be."""
        self._look()
        most = self.fitting if self.size.replicas is None else self.size.replicas
        unplaced = [member for member in self.members if not member.place]
        for member in unplaced[: max(0, len(self.members) - most)]:
            self._drop(member)
        while len(self.members) < min(left, most) and len(self.refusals) < REFUSALS:
            self._begin()
        if any(member.ready or member.place for member in self.members):
            self.alive = time.monotonic()
        elif self.refusals and not self.members:
            raise EngineError(
                f"--engine ray: no replica can run {self.recipe.name}: {self.refusals[-1]}; {AGAIN}"
            )
        elif time.monotonic() - self.alive > PATIENCE:
            raise EngineError(
                f"--engine ray: no replica of {self.size} began within {PATIENCE:.0f} seconds"
                f" ({self._nodes()}); free the cluster or add a node; {AGAIN}"
            )

    def _begin(self) -> None:
        size = self.size
        needs = {"num_cpus": size.cpus, "num_gpus": size.gpus, "memory": size.memory or None}
        actor = self.ray.remote(**needs, max_restarts=0, max_task_retries=0)(Replica)
        member = Member(actor.remote(self.recipe))
        self.members.append(member)
        self.pending[member.actor.place.remote()] = member

    def _hand_out(self, waiting: deque[int], work: Sequence[Sequence[RolloutRequest]]) -> None:
        for member in self.members:
            if waiting and member.ready and member.shard is None:
                member.shard = waiting.popleft()
                self.pending[member.actor.rolled.remote(list(work[member.shard]))] = member

    def _finished(self, waiting: deque[int], losses: Counter[int]) -> Iterator[tuple[int, Batch]]:
        """What came back within a moment; the shard of a replica that died waits again."""
        refs = list(self.pending)
        done, _ = self.ray.wait(refs, num_returns=1, timeout=LOOK) if refs else ([], [])
        if not refs:
            time.sleep(LOOK)
        for ref in done:
            member = self.pending.pop(ref)
            try:
                result = self.ray.get(ref)
            except self.ray.exceptions.RayTaskError as error:
                raise _broken(error) from error
            except self.ray.exceptions.RayError as error:
                self._lost(member, error, waiting, losses)
                continue
            if isinstance(result, Batch) and member.shard is not None:
                place, member.shard = member.shard, None
                yield place, result
            elif isinstance(result, Opened):
                self._opened(member, result)
            else:
                member.place = str(result)
                self.pending[member.actor.opened.remote()] = member

    def _opened(self, member: Member, opened: Opened) -> None:
        """The replica is ready where it has the driver's weights and versions."""
        name, here = self.recipe.name, own_versions()
        if opened.refusal:
            self._refused(member, opened.refusal)
        elif opened.sha256 != self.sha256:
            raise EngineError(
                f"--engine ray: {name} has other weights on {member.place} ({opened.sha256[:12]})"
                f" than here ({self.sha256[:12]}); put the same files on every node"
            )
        elif opened.versions != here:
            raise EngineError(
                f"--engine ray: {member.place} runs fulcra, torch, transformers"
                f" {', '.join(opened.versions)}, and this is {', '.join(here)}; install the same"
            )
        else:
            member.ready = True
            self.refusals.clear()

    def _refused(self, member: Member, reason: str) -> None:
        logger.warning("ray: a replica on %s cannot begin: %s", member.place or "a node", reason)
        self.refusals.append(reason)
        self._drop(member)

    def _lost(
        self, member: Member, error: Exception, waiting: deque[int], losses: Counter[int]
    ) -> None:
        """A replica died: its shard is the next to be handed out, so often as may be."""
        shard, reason = member.shard, _reason(error)
        if not member.ready:
            if member.place:
                self._refused(member, f"it died while it opened the model ({reason})")
            elif isinstance(error, self.ray.exceptions.RayActorError) and error.actor_init_failed:
                # its process ran, so that neither room nor patience would help
                self._refused(member, f"its process cannot begin ({reason})")
            else:
                self._drop(member)
            return
        self._drop(member)
        if shard is None:
            return
        losses[shard] += 1
        tell(Lost(member.place))
        if losses[shard] >= LOSSES:
            raise EngineError(
                f"--engine ray: a shard lost its replica {LOSSES} times, the last on"
                f" {member.place} ({reason}); give replicas more memory; {AGAIN}"
            )
        logger.warning(
            "ray: a replica on %s was lost, its shard runs again: %s", member.place, reason
        )
        waiting.appendleft(shard)

    def _drop(self, member: Member) -> None:
        self.members.remove(member)
        self.pending = {ref: owner for ref, owner in self.pending.items() if owner is not member}
        self.ray.kill(member.actor)

    def _look(self) -> None:
        """How many replicas fit on the nodes there are, looked up once a moment."""
        if time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self.fitting = sum(map(self.size.fitting, nodes))

    def _nodes(self) -> str:
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        kinds = ("CPU", "GPU", "memory")
        each = (_sizes(*(node.get(kind, 0) for kind in kinds)) for node in nodes)
        return f"{len(nodes)} nodes: {'; '.join(each)}" if nodes else "no node"


def _sizes(cpus: float, gpus: float, memory: float) -> str:
    return f"{cpus:g} CPUs, {gpus:g} GPUs, {memory / (1 << 30):.1f} GiB"


def _reason(error: Exception) -> str:
    """The last line of what Ray says of a loss."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _broken(error: Exception) -> EngineError:
    """The error where a replica raised what no input explains."""
    return EngineError(f"--engine ray: a replica failed on a shard: {_reason(error)}; {AGAIN}")
