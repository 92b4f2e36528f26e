"""A replica that is lost is kept as an incident of the run: without a cluster, in every CI."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fulcra.engines.fleet import Fleet, Size
from fulcra.engines.incidents import Incident, Lost, heard_by
from fulcra.engines.replica import Batch, Opened, Recipe, own_versions
from fulcra.errors import EngineError
from fulcra.protocol.incidents import Incidents
from fulcra.protocol.results.incidents import IncidentsEntry
from fulcra.store import INCIDENTS
from fulcra.types import Rollout, RolloutRequest

RECIPE = Recipe("planted", None, "float32", "cpu", None, None, False, 1)
WORK = [[RolloutRequest((5, 6), (), 4)], [RolloutRequest((7, 8), (), 4)]]


class RayFault(Exception):
    """What Ray raises, for a lost actor as for a task that failed."""


class ActorDied(RayFault):
    actor_init_failed = False


class TaskFailed(RayFault):
    pass


class Remote:
    """A method of an actor: what it gives comes when it is waited for."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def remote(self, *args: Any) -> Any:
        return Ref(lambda: self.call(*args))


class Ref:
    def __init__(self, result: Callable[[], Any]) -> None:
        self.result = result


class Ray:
    """The calls of Ray that a fleet makes; its replicas die of their first `deaths` shards."""

    exceptions = SimpleNamespace(
        RayError=RayFault, RayActorError=ActorDied, RayTaskError=TaskFailed
    )

    def __init__(self, deaths: int) -> None:
        self.deaths, self.killed = deaths, list[Any]()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 1.0}}]

    def remote(self, **needs: Any) -> Callable[[type], Any]:
        return lambda kind: SimpleNamespace(remote=self.actor)

    def actor(self, recipe: Recipe) -> Any:
        return SimpleNamespace(
            place=Remote(lambda: "node-7"),
            opened=Remote(lambda: Opened("a" * 64, own_versions())),
            rolled=Remote(self.rolled),
        )

    def rolled(self, requests: Sequence[RolloutRequest]) -> Batch:
        if self.deaths:
            self.deaths -= 1
            raise ActorDied("the actor died")
        return Batch(tuple(Rollout(r.prompt, True) for r in requests), (), (), "")

    def wait(
        self, refs: list[Any], num_returns: int, timeout: float
    ) -> tuple[list[Any], list[Any]]:
        return refs[:1], refs[1:]

    def get(self, ref: Ref) -> Any:
        return ref.result()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


def fleet_of(ray: Ray) -> Fleet:
    return Fleet(ray, RECIPE, Size(1), "a" * 64)  # type: ignore[arg-type]


def test_a_lost_replica_is_told_and_its_shard_runs_again() -> None:
    heard: list[Incident] = []
    with heard_by(heard.append):
        rolled = dict(fleet_of(Ray(deaths=2)).rolled(WORK))
    assert {place: batch.rollouts[0].tokens for place, batch in rolled.items()} == {
        0: (5, 6),
        1: (7, 8),
    }
    assert heard == [Lost("node-7"), Lost("node-7")]


def test_the_losses_that_stop_a_run_are_told_before_it_stops() -> None:
    heard: list[Incident] = []
    with heard_by(heard.append), pytest.raises(EngineError, match="lost its replica 3 times"):
        list(fleet_of(Ray(deaths=3)).rolled(WORK))
    assert heard == [Lost("node-7")] * 3


def test_lost_replicas_are_kept_by_step_from_process_to_process(tmp_path: Path) -> None:
    before, after = Incidents(), Incidents()
    before.keep(tmp_path / INCIDENTS)
    before.hear("doses", Lost("node-7"))
    assert before.met
    after.hear("attacks", Lost("node-8"))
    after.keep(tmp_path / INCIDENTS)
    after.hear("doses", Lost("node-7"))
    assert after.entry.lost == {"doses": 2, "attacks": 1}
    assert after.entry.lines() == [
        "3 replicas were lost in the middle of a shard, which ran again (doses 2, attacks 1)"
    ]
    one = IncidentsEntry(lost={"doses": 1}).lines()
    assert one == ["1 replica was lost in the middle of a shard, which ran again (doses 1)"]


def test_runs_that_lost_no_replica_are_written_as_before() -> None:
    incidents = Incidents()
    assert not incidents.met
    assert IncidentsEntry(halved={"baseline": 1}).plain() == {"halved": {"baseline": 1}}
    old = {"halved": {"baseline": 1}, "not_finite": {}}
    assert IncidentsEntry.model_validate(old).plain() == old
