"""What an audit costs on accelerators, on paper: from a config, published peaks and counts."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fulcra.errors import InputError
from fulcra.models.sizes import ModelSizes
from fulcra.protocol.budget import CLIMBED, DISTINCT, step_costs
from fulcra.protocol.records import CEILING
from fulcra.protocol.scale.accelerators import Accelerator, Shares
from fulcra.protocol.scale.layout import Layout, Rates, layout, rates
from fulcra.protocol.scale.simulation import TAIL, Cluster, simulated, stragglers
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.unit_costs import UnitCosts
from fulcra.types import Behavior

#: Seconds of the driver for one shard of 256 rollouts, there and back: of 5 to 34 ms that were
#: measured on Ray clusters of one to four nodes of one machine, busy with other work as well.
HANDING = 0.01
#: Bytes a second at which a replica reads its weights from a disk or the network; assumed.
READING = 2e9
#: Seconds between two failures of a node of eight: 419 in 54 days on 16,384 accelerators, as the
#: report on Llama 3 counts them (The Llama 3 Herd of Models, section 3.3.4).
FAILURE = 16384 / 8 * 54 * 86400 / 419
#: More shards than this are simulated as so many, each as much longer.
MOST_SHARDS = 50_000

How = Literal["measured", "published", "computed", "simulated", "assumed"]


class Fact(NamedTuple):
    """One line of a plan: what it says, and where its number comes from."""

    what: str
    value: str
    how: How


class Step(NamedTuple):
    """One step of an audit: its rollouts, seconds of one replica for them, and of the driver.

    What replicas roll out is shared among them; passes over given text are one replica's work.
    """

    name: str
    rollouts: int
    tokens: int
    rolled: float
    passes: float
    wall: float


class Machine(NamedTuple):
    """What an audit would run on."""

    device: Accelerator
    gpus: int
    bits: int = 16
    shares: Shares = Shares()


class Plan(NamedTuple):
    """An audit on accelerators: where its model lies, its steps, and what they take together."""

    sizes: ModelSizes
    machine: Machine
    layout: Layout
    rates: Rates
    prompt: int
    horizon: int
    steps: tuple[Step, ...]

    @property
    def wall(self) -> float:
        """Wall seconds of all steps, one after another."""
        return sum(step.wall for step in self.steps)

    @property
    def gpu_hours(self) -> float:
        """Hours of all accelerators that are held, idle ones too."""
        return self.wall * self.layout.replicas * self.layout.parallel / 3600

    @property
    def busy(self) -> float:
        """The share of the held hours in which a replica works."""
        worked = sum(step.rolled + step.passes for step in self.steps)
        return worked / (self.wall * self.layout.replicas)

    def facts(self) -> tuple[Fact, ...]:
        """The plan line by line, each with where its number comes from."""
        return tuple(_facts(self))


def planned(
    sizes: ModelSizes, behavior: Behavior, settings: AuditSettings, machine: Machine, prompt: int
) -> Plan:
    """The plan of an audit of a model that nobody loads, with prompts of `prompt` tokens.

    Counts are those of `audit_costs` (protocol/budget.py): replies of full length, nothing shared
    below an edited block, so an upper bound of the work. InputError where no replica fits.
    """
    if prompt < 1:
        raise InputError(f"plan: prompts of {prompt} tokens; give at least 1")
    fitting = settings.of(behavior)
    tokens = prompt + fitting.horizon
    place = layout(sizes, machine.device, machine.gpus, machine.bits, tokens, machine.shares)
    speed = rates(sizes, machine.device, place, machine.shares)
    held = round(place.memory)
    rolled, passes = (
        step_costs(sizes.layers, fitting, settings, costs, held)
        for costs in _unit_costs(speed, prompt, fitting)
    )
    steps = []
    for index, name in enumerate(rolled):
        seconds, count = rolled[name].seconds, rolled[name].rollouts
        opening = sizes.parameters * machine.bits / 8 / READING if index == 0 else 0.0
        wall = _makespan(seconds, count, place, opening, settings.seed)
        driver = passes[name].seconds
        steps.append(Step(name, count, rolled[name].tokens, seconds, driver, wall + driver))
    return Plan(sizes, machine, place, speed, prompt, fitting.horizon, tuple(steps))


def _unit_costs(speed: Rates, prompt: int, behavior: Behavior) -> tuple[UnitCosts, UnitCosts]:
    """Unit costs of one replica: those of rollouts alone, then those of passes over given text."""
    opens = any(each.target_openings for each in behavior.selection)
    odds = speed.read * prompt if opens else None
    rolled = UnitCosts(
        read=speed.read * prompt,
        token=speed.token,
        judged=0.0,
        next_token=None,
        text=0.0,
        cpu=0.0,
        prompt=prompt,
        reply=behavior.horizon,
    )
    return rolled, rolled._replace(
        read=0.0, token=0.0, judged=speed.read, next_token=odds, text=speed.read
    )


def _makespan(seconds: float, rollouts: int, place: Layout, opening: float, seed: int) -> float:
    """Wall seconds of one step's rollouts in shards over all replicas, simulated."""
    if not rollouts:
        return opening
    count = min(MOST_SHARDS, -(-rollouts // place.rows))
    cluster = Cluster(
        nodes=place.nodes,
        replicas=place.a_node,
        opening=opening,
        handing=HANDING,
        failure=FAILURE * 8 / (place.a_node * place.parallel),
        absent=place.nodes * place.a_node - place.replicas,
    )
    shards = stragglers(seconds / count, count, TAIL, seed)
    run = simulated(shards, cluster, seed)
    if not run.ended:
        raise InputError(
            f"plan: {rollouts:,} rollouts of one step would be simulated in {count:,} shards of"
            f" {seconds / count / 3600:,.0f} hours, which nodes that fail never end; give fewer"
            " neurons or controls, or more --gpus"
        )
    return run.makespan


def _facts(plan: Plan) -> Iterator[Fact]:
    yield from _machine_facts(plan)
    speed = plan.rates
    yield Fact("prompt, reply", f"{plan.prompt}, {plan.horizon} tokens", "assumed")
    yield Fact("share of replies that are scored", f"{DISTINCT:.0%}", "measured")
    climbed = f"{CLIMBED[CEILING]:.0%} of a ceiling's, {CLIMBED['selection']:.0%} of a trigger's"
    yield Fact("rungs that a curtailed ladder climbs", climbed, "measured")
    yield Fact("driver, a shard", f"{1000 * HANDING:g} ms", "measured")
    reading, writing = (f"{1 / seconds:,.0f}" for seconds in (speed.read, speed.token))
    yield Fact("a replica", f"reads {reading} and writes {writing} tokens/s", "computed")
    rollouts, tokens = sum(s.rollouts for s in plan.steps), sum(s.tokens for s in plan.steps)
    yield Fact("work", f"{rollouts:,} rollouts, {tokens:,} tokens", "computed")
    rolled, passes = sum(s.rolled for s in plan.steps), sum(s.passes for s in plan.steps)
    yield Fact("rollouts, one replica", f"{rolled / 3600:.2f} h", "computed")
    yield Fact("passes of the driver's replica", f"{passes / 3600:.2f} h", "computed")
    yield Fact("wall", f"{plan.wall / 3600:.2f} h", "simulated")
    yield Fact("GPU-hours", f"{plan.gpu_hours:.1f}, {plan.busy:.0%} of them at work", "simulated")


def _machine_facts(plan: Plan) -> Iterator[Fact]:
    """The lines on the model, the accelerators, and how one lies on the other."""
    sizes, place, device, shares = plan.sizes, plan.layout, plan.machine.device, plan.machine.shares
    mixture = f", {sizes.active / 1e9:.4g} billion met by a token" if sizes.experts else ""
    yield Fact("parameters", f"{sizes.parameters / 1e9:.4g} billion{mixture}", "computed")
    peaks = f"{device.flops / 1e12:.0f} TFLOP/s bf16, {device.bandwidth / 1e12:.2f} TB/s"
    memory = f"{device.memory / 1e9:.0f} GB"
    yield Fact(device.name, f"{memory}, {peaks} ({device.source})", "published")
    taken = f"{shares.compute:.0%} of products, {shares.bandwidth:.0%} of bandwidth"
    yield Fact("shares of the peaks", taken, "assumed")
    used = f"{place.replicas * place.parallel} of {plan.machine.gpus} in use"
    replicas = f"{place.replicas} replicas x tensor parallel {place.parallel}"
    yield Fact("layout", f"{replicas} ({used})", "computed")
    held = f"weights {place.weights / 1e9:.1f}, {place.rows} rollouts"
    yield Fact("memory on one", f"{place.memory / 1e9:.1f} GB: {held}", "computed")
