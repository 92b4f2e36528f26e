"""Rollouts on a Ray cluster of several nodes are the local engine's, whoever dies meanwhile."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch

from fulcra.engines import fleet, local, memory
from fulcra.engines.cluster import RayEngine, connected
from fulcra.engines.engine import identity, run
from fulcra.engines.fleet import Fleet, Size
from fulcra.engines.incidents import Halved, Incident, Lost, heard_by
from fulcra.engines.replica import Batch, Opened, Recipe, Replica, own_versions
from fulcra.errors import EngineError, InputError
from fulcra.models import Model
from fulcra.models.tiny import tiny
from fulcra.types import Edit, Rollout, RolloutRequest
from tests.promptly import promptly

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

# what Ray itself leaves open or deprecates is not ours
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def ray(cluster: "Cluster") -> Iterator[ModuleType]:
    """Ray, connected to the cluster."""
    with connected(cluster.address) as module:
        yield module


@pytest.fixture(scope="module")
def few(sampled: list[RolloutRequest]) -> list[RolloutRequest]:
    """Requests of every kind, greedy and drawn."""
    return sampled[::2]


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Iterator[None]:
    """At most four rows a shard: many shards, and the same ones in both engines."""
    patch = pytest.MonkeyPatch()
    patch.setattr(memory, "MAX_ROWS", 4)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def expected(model: Model, few: list[RolloutRequest]) -> list[Rollout]:
    """The local engine's rollouts."""
    return run(model, few)


@pytest.fixture(scope="module")
def engine(model: Model, ray: ModuleType) -> Iterator[RayEngine]:
    """Two replicas, one a node, that stay from test to test."""
    made = RayEngine(model, ray, Size())
    yield made
    made.close()


def gathered(engine: RayEngine, requests: Sequence[RolloutRequest]) -> list[Rollout]:
    """The rollouts in the order of the requests; every one comes exactly once."""
    rollouts: dict[int, Rollout] = {}
    for shard in engine.run_shards(requests):
        assert not rollouts.keys() & shard.keys()
        rollouts |= shard
    return [rollouts[i] for i in range(len(requests))]


def halfway(
    engine: RayEngine, requests: Sequence[RolloutRequest]
) -> tuple[Iterator[dict[int, Rollout]], dict[int, Rollout]]:
    """A sweep of which three shards are over and all replicas run one, and those three."""
    sweep, rollouts = engine.run_shards(requests), dict[int, Rollout]()
    for _ in range(3):
        rollouts |= next(sweep)
    return sweep, rollouts


def went_on(
    sweep: Iterator[dict[int, Rollout]], rollouts: dict[int, Rollout], count: int
) -> list[Rollout]:
    """The rollouts of a sweep that was begun; none comes again."""
    for shard in sweep:
        assert not rollouts.keys() & shard.keys()
        rollouts |= shard
    return [rollouts[i] for i in range(count)]


def replicas(engine: RayEngine) -> int:
    """How many replicas can roll; another may wait for a node with room."""
    return sum(member.ready for member in engine.fleet.members)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_rolls_what_this_process_rolls(
    model: Model, engine: RayEngine, few: list[RolloutRequest], expected: list[Rollout]
) -> None:
    assert gathered(engine, few) == expected
    assert engine.exact
    assert identity(model) == {"name": "local"}
    assert engine.settings == {
        "ray": engine.version,
        "replicas": None,
        "replica_cpus": 1.0,
        "replica_gpus": 0.0,
    }


@pytest.mark.ray
@pytest.mark.slow
def test_what_replicas_meet_is_told_here(
    model: Model, engine: RayEngine, few: list[RolloutRequest], caplog: pytest.LogCaptureFixture
) -> None:
    endless = Edit(model.neuron(1, 1), "add", float("inf"), None, "generated")
    broken = RolloutRequest(few[0].prompt, (endless,), 4)
    (rollout,) = gathered(engine, [broken])
    assert rollout == run(model, [broken])[0]
    assert not rollout.finite
    assert sum("numbers that are not finite" in line for line in caplog.messages) == 2
    never = RolloutRequest((5, 6), (Edit(model.neuron(1, 1), "add", 4.0, None, "generated"),), 1)
    with pytest.raises(InputError, match="never acted"):
        gathered(engine, [never])
    with pytest.raises(InputError, match="give at least one prompt token"):
        gathered(engine, [RolloutRequest((), (), 4)])


@pytest.mark.ray
@pytest.mark.slow
def test_a_replica_that_is_killed_loses_and_repeats_nothing(
    ray: ModuleType,
    engine: RayEngine,
    few: list[RolloutRequest],
    expected: list[Rollout],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sweep, rollouts = halfway(engine, few)
    victim = next(member for member in engine.fleet.members if member.shard is not None)
    ray.kill(victim.actor)
    heard: list[Incident] = []
    with heard_by(heard.append):
        assert went_on(sweep, rollouts, len(few)) == expected
    assert heard == [Lost(victim.place)]
    assert "was lost, its shard runs again" in caplog.text
    assert victim not in engine.fleet.members


@pytest.mark.ray
@pytest.mark.slow
def test_nodes_may_go_in_the_middle_of_a_sweep_and_others_come(
    cluster: "Cluster",
    ray: ModuleType,
    engine: RayEngine,
    few: list[RolloutRequest],
    expected: list[Rollout],
) -> None:
    sweep, rollouts = halfway(engine, few)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    assert went_on(sweep, rollouts, len(few)) == expected
    assert replicas(engine) == 1
    cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK)
    until = time.monotonic() + 120
    while replicas(engine) < 2 and time.monotonic() < until:
        assert gathered(engine, few) == expected
    assert replicas(engine) == 2


class Doomed:
    """A replica that dies of every shard; one of another kind where `opens` says so."""

    opens = Opened("", ())

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def place(self) -> str:
        return "a node"

    def opened(self) -> Opened:
        return self.opens

    def rolled(self, requests: Sequence[RolloutRequest]) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def doomed(ray: ModuleType, monkeypatch: pytest.MonkeyPatch, opens: Opened) -> Fleet:
    """A fleet of replicas that open as is said and die of every shard."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    kind = type("Doomed", (Doomed,), {"opens": opens})
    monkeypatch.setattr(fleet, "Replica", kind)
    monkeypatch.setattr(fleet, "REFUSALS", 2)
    recipe = Recipe("planted", None, "float32", "cpu", None, None, False, 1)
    return Fleet(ray, recipe, Size(1), "a" * 64)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("opens", "line"),
    [
        (Opened("a" * 64, own_versions()), r"a shard lost its replica 3 times, the last on a node"),
        (Opened("b" * 64, own_versions()), r"planted has other weights on a node \(bbbbbbbbbbbb\)"),
        (
            Opened("a" * 64, ("0", "1", "2")),
            r"a node runs fulcra, torch, transformers 0, 1, 2, and",
        ),
        (
            Opened("", (), "its memory cannot hold the model"),
            r"no replica can run planted: its mem",
        ),
    ],
    ids=["lost", "weights", "versions", "memory"],
)
def test_a_cluster_that_cannot_is_one_line(
    ray: ModuleType,
    engine: RayEngine,
    monkeypatch: pytest.MonkeyPatch,
    opens: Opened,
    line: str,
) -> None:
    engine.close()  # its processors are needed here; it begins again when it is asked
    crew = doomed(ray, monkeypatch, opens)
    try:
        with pytest.raises(EngineError, match=line) as refused:
            list(crew.rolled([[RolloutRequest((5, 6), (), 4)]]))
        assert "\n" not in str(refused.value)
    finally:
        crew.close()


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_where_no_replica_can_begin_is_refused_before_patience_ends(
    ray: ModuleType, engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unbegun:
        def __init__(self, recipe: Recipe) -> None:
            raise ImportError(f"no package for {recipe.name}")

        def place(self) -> str:
            return "a node"

    engine.close()  # its processors are needed here; it begins again when it is asked
    crew = doomed(ray, monkeypatch, Opened("a" * 64, own_versions()))
    monkeypatch.setattr(fleet, "Replica", Unbegun)
    monkeypatch.setattr(fleet, "PATIENCE", 60.0)
    line = r"no replica can run planted: its process cannot begin \(.*no package for planted\)"
    try:
        with pytest.raises(EngineError, match=line):
            list(crew.rolled([[RolloutRequest((5, 6), (), 4)]]))
    finally:
        crew.close()


@pytest.mark.ray
@pytest.mark.slow
def test_a_replica_that_fits_no_node_is_refused_at_once(
    model: Model, ray: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match=r"no node of the cluster has the 1 CPUs, 2 GPUs, 0"):
        RayEngine(model, ray, Size(gpus=2))
    monkeypatch.setattr("fulcra.engines.cluster.replica_bytes", lambda model: 1 << 50)
    with pytest.raises(EngineError, match=r"1 CPUs, 0 GPUs, 1048576\.0 GiB of a replica"):
        RayEngine(model, ray, Size())


def recipe_of(name: str) -> Recipe:
    return Recipe(name, None, "float32", "cpu", None, None, False, torch.get_num_threads())


def test_a_replica_tells_what_it_met_and_what_it_refuses(
    model: Model, few: list[RolloutRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(Recipe.of(model, "cpu", torch.get_num_threads()))
    opened = replica.opened()
    assert opened == Opened(model.sha256, own_versions())
    whole, decode = replica.rolled(few[:4]), local.decode
    assert list(whole.rollouts) == run(model, few[:4])

    def cramped(on: Model, requests: Sequence[RolloutRequest]) -> list[Rollout]:
        if len(requests) > 2:
            raise torch.OutOfMemoryError("too many rows")
        return decode(on, requests)

    monkeypatch.setattr(local, "decode", cramped)
    heard: list[Incident] = []
    with heard_by(heard.append):
        halved = replica.rolled(few[:4])
    assert (halved.rollouts, halved.incidents, heard) == (whole.rollouts, (Halved(4),), [])
    never = RolloutRequest((5, 6), (Edit(model.neuron(1, 1), "add", 4.0, None, "generated"),), 1)
    assert "never acted" in replica.rolled([never]).refusal


def test_a_replica_without_the_model_says_why() -> None:
    assert "no bundled organism" in Replica(recipe_of("nowhere/to-be-found")).opened().refusal
    with pytest.raises(RuntimeError, match="before opened"):
        Replica(recipe_of("apothecary-sparse")).rolled([])


def test_memory_that_cannot_hold_the_model_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(*arguments: object, **options: object) -> Model:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("fulcra.engines.replica.load", cramped)
    opened = Replica(recipe_of("apothecary-sparse")).opened()
    assert opened.refusal == "its memory cannot hold the model"


def test_a_recipe_is_how_the_model_was_opened(model: Model) -> None:
    assert Recipe.of(model, "cuda", 2) == Recipe(
        "apothecary-sparse", None, "float32", "cuda", None, None, False, 2
    )
    assert Recipe.of(tiny("llama"), "cpu", 1).name == "tiny-llama"


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "fitting"),
    [
        (1.0, 0.0, {"CPU": 8.0}, 8),
        (3.0, 0.0, {"CPU": 8.0}, 2),
        (1.0, 0.5, {"CPU": 8.0, "GPU": 2.0}, 4),
        (1.0, 2.0, {"CPU": 8.0, "GPU": 3.0}, 1),
        (1.0, 1.0, {"CPU": 8.0}, 0),
    ],
)
def test_replicas_are_counted_by_what_a_node_has(
    cpus: float, gpus: float, resources: dict[str, float], fitting: int
) -> None:
    assert Size(None, cpus, gpus).fitting(resources) == fitting
    assert Size(None, cpus, gpus, 1 << 30).fitting({**resources, "memory": 2e9}) == min(fitting, 1)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"ray is not installed; pip install 'fulcra\[ray\]'"):
        connected(None).__enter__()


@pytest.mark.ray
@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:1", "127.0.0.1:99999", ":1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EngineError, match="expected host:port"), connected(address):
        pass


@pytest.mark.ray
def test_an_address_without_a_cluster_is_refused_within_seconds() -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
    refused = pytest.raises(EngineError, match="no Ray cluster answers")
    with promptly(), refused, connected(f"{LOOPBACK}:{port}"):
        pass


@pytest.mark.ray
def test_a_cluster_of_this_machine_that_does_not_begin_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")
    left: list[bool] = []

    def init(*_: object, **__: object) -> None:
        # a bare Exception: what Ray raises where its processes do not come up in time
        raise Exception("The current node timed out during startup.\nMore of it.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: left.append(True))
    line = r"no cluster began on this machine \(The current node timed out during startup\.\); try"
    with pytest.raises(EngineError, match=line) as refused, connected(None):
        pass
    assert "\n" not in str(refused.value)
    assert left == [True]
    other = pytest.raises(EngineError, match="--address auto: no Ray cluster answers")
    with other, connected("auto"):
        pass


def test_what_listens_there_and_is_no_ray_is_refused_within_seconds() -> None:
    pytest.importorskip("ray")
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = f"{LOOPBACK}:{silent.getsockname()[1]}"
        refused = pytest.raises(EngineError, match="no Ray cluster answers")
        with promptly(), refused, connected(address):
            pass
