"""The figures of audit.json from commitment and rollouts alone, so that verify makes them again."""

from collections.abc import Sequence

from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import rule_of_three, wilson
from fulcra.law.edges import HALF, measured_ceiling, measured_trigger
from fulcra.law.verdict import failure_mode, law_verdict, margin, observe, specific
from fulcra.protocol.records import ASKED, CEILING, EARLIER, Record, outcome_rates
from fulcra.protocol.results.audit import Baseline, Branch, Figures, Measured, Pin, Rung
from fulcra.protocol.results.commitment import BranchEntry, Commitment
from fulcra.protocol.results.summary import (
    Agreement,
    Attack,
    BranchSource,
    Curtailed,
    Held,
    HeldNeuron,
    PositiveControl,
    Prevalence,
    Search,
    Summary,
)
from fulcra.protocol.schedule import PROMPTS_OF, measure_of
from fulcra.protocol.staged import Evidence
from fulcra.types import Edge, FailureMode, Neuron, Verdict

#: The positive control acts when a one-token prefill or direction ablation flips half of the
#: prompts, or else when half of the prompts that ask for the flip get it, or else half under the
#: prefill that the commitment names.
CONTROL_RATE = 0.5
INTERVENTIONS = ("prefill_1", "direction_ablation")
#: Below this share of undosed prompts that show the behavior there is nothing to flip.
BASELINE_RATE = 0.5
#: The stages whose rollouts are counted where a measurement is curtailed.
COUNTED = (CEILING, "selection", "confirmation", "control")


def figures(content: Commitment, sha256: str, records: Sequence[Record]) -> Figures:
    """Baseline, branches, context, positive control and summary of a run."""
    plan = content.plan
    evidence = Evidence(records, plan.horizons)
    controls = [_control(name, content, evidence) for name in content.controls]
    opens = [control.smallest_open_gain for control in controls]
    branches = [_branch(entry, content, evidence, opens) for entry in content.branches]
    baseline = _baseline(evidence, content)
    context = _context(evidence, branches)
    control = positive_control(context, plan.last_control)
    if not control.acts or baseline.rate < BASELINE_RATE:
        withheld = {"verdict": "undetermined", "failure_mode": None}
        branches = [branch.model_copy(update=withheld) for branch in branches]
    every = (*branches, *controls)
    summary = _summary(every, baseline, control, sha256)
    if measure_of(content) != "full":
        summary = summary.model_copy(update={"curtailed": _curtailed(content, records)})
    return Figures(
        baseline=baseline,
        neurons=every,
        context=tuple(context),
        positive_control=control,
        summary=summary,
    )


def _curtailed(content: Commitment, records: Sequence[Record]) -> Curtailed:
    """How many of the planned rollouts were made; pins and earlier writes stand apart."""
    orders, plan = content.plan.orders or {}, content.plan
    rungs = sum(len(content.gains_of(entry)) for entry in content.branches)
    at_controls = (len(plan.gains[: content.control_rungs.get(c)]) for c in content.controls)
    prompts = {stage: len(orders[PROMPTS_OF[stage]]) for stage in COUNTED}
    planned = sum(prompts[stage] * rungs for stage in COUNTED if stage != "control")
    planned += prompts["control"] * sum(at_controls)
    made = sum(record.stage in COUNTED for record in records)
    return Curtailed(measure=measure_of(content), rollouts=made, planned=planned)


def _branch(
    entry: BranchEntry, content: Commitment, evidence: Evidence, controls: Sequence[float | None]
) -> Branch:
    """Everything measured about one committed branch beside what was predicted."""
    place, name, gains = entry.coordinate, entry.branch, content.gains_of(entry)
    horizon = evidence.verdict_horizon
    ceiling = measured_ceiling(place, gains, evidence.coherence(name, gains))
    triggers = _triggers(evidence, place, gains)
    observed = observe(gains, evidence.flips("confirmation", name, gains, horizon))
    curve = _curve(evidence, place, gains, measure_of(content) != "full")
    best = _outcomes_gain(curve, ceiling)
    closed, rungs = observed.verdict == "closed", content.plan.gains
    why = _failure_mode(evidence, place, rungs, ceiling, triggers[-1]) if closed else None
    neuron = Neuron.parse(name)
    branch = Branch(
        neuron=neuron.site,
        pole="+" if neuron.pole > 0 else "-",
        kind="neuron",
        source=entry.source,
        budget=entry.budget,
        alignment0=entry.alignment0,
        activation_gap=entry.activation_gap,
        ceiling_predicted=entry.ceiling_predicted,
        trigger_predicted=entry.trigger_predicted,
        ceiling_measured=_measured(ceiling),
        triggers=tuple(map(_measured, triggers, evidence.horizons)),
        observed_open=observed.open,
        smallest_open_gain=observed.smallest_open_gain,
        margin=margin(ceiling, triggers[-1]),
        verdict=observed.verdict,
        predicted_verdict=entry.predicted_verdict,
        law_verdict=law_verdict(ceiling, triggers[-1]),
        failure_mode=why,
        specific=specific(observed.smallest_open_gain, controls),
        outcomes_gain=best,
        outcomes=next(rung.outcomes[str(horizon)] for rung in curve if rung.gain == best),
        pins=tuple(_pins(evidence, neuron, content.plan.pin_multiples)),
        curve=tuple(curve),
    )
    optional = {"cap_gain": place.cap_gain, "chance": entry.chance}
    return branch.model_copy(
        update={key: value for key, value in optional.items() if value is not None}
    )


def _triggers(evidence: Evidence, place: Coordinate, gains: Sequence[float]) -> list[Edge]:
    """The trigger measured on the selection prompts, at every horizon."""
    name, edges = str(place.branch), []
    for horizon in evidence.horizons:
        flips = evidence.flips("selection", name, gains, horizon)
        edges.append(measured_trigger(place, gains, flips))
    return edges


def _failure_mode(
    evidence: Evidence, place: Coordinate, gains: Sequence[float], ceiling: Edge, trigger: Edge
) -> FailureMode:
    flips = evidence.flips(EARLIER, str(place.branch), gains, evidence.verdict_horizon)
    earlier = measured_trigger(place, gains, flips)
    return failure_mode(earlier, ceiling, trigger, place.cap_alignment)


def _measured(edge: Edge, horizon: int | None = None) -> Measured:
    """A measured edge as files hold it, with its horizon where there is one a horizon."""
    where = {} if horizon is None else {"horizon": horizon}
    return Measured(
        **where,
        gain=edge.gain,
        low=edge.low,
        high=edge.high,
        alignment=edge.alignment,
        censored=edge.censored,
    )


def _curve(
    evidence: Evidence, place: Coordinate, gains: Sequence[float], counted: bool
) -> list[Rung]:
    """The rates of one branch at every gain; with their numbers of rollouts where `counted`."""
    name, tau, rungs = str(place.branch), evidence.verdict_horizon, []
    for gain in gains:
        generic = [r for r in evidence.of(CEILING, name) if r.gain == gain]
        selection = [r for r in evidence.sealed("selection", name) if r.gain == gain]
        confirmation = [r for r in evidence.sealed("confirmation", name) if r.gain == gain]
        rates = {str(h): _rates(confirmation, h) for h in evidence.horizons}
        rows = {"confirmation": confirmation, "selection": selection, "generic": generic}
        counts = {f"n_{name}": len(rolled) for name, rolled in rows.items() if counted}
        rungs.append(
            Rung(
                gain=gain,
                alignment=place.alignment(gain),
                coherent=_share([r.coherent(tau) for r in generic]),
                flip_selection=_share([r.flipped(tau) for r in selection]),
                flip_confirmation=_share([r.flipped(tau) for r in confirmation]),
                reach=rates[str(tau)]["flipped_correct"],
                outcomes=rates,
                **counts,
            )
        )
    return rungs


def _rates(records: Sequence[Record], horizon: int) -> dict[str, float]:
    return {str(outcome): rate for outcome, rate in outcome_rates(records, horizon).items()}


def _share(happened: Sequence[bool]) -> float | None:
    """The share of what happened; None of nothing."""
    return sum(happened) / len(happened) if happened else None


def _outcomes_gain(curve: Sequence[Rung], ceiling: Edge) -> float:
    """The gain below the measured ceiling that flips most selection prompts, smallest first."""
    below = [rung for rung in curve if ceiling.gain is None or rung.gain < ceiling.gain]
    best = max(below or curve[:1], key=lambda rung: (rung.flip_selection or 0.0, -rung.gain))
    return best.gain


def _pins(evidence: Evidence, neuron: Neuron, multiples: Sequence[float]) -> list[Pin]:
    """What holding the neuron at each value achieves, by increasing value.

    A neuron that never acts on generic text has one value, 0; otherwise there is one value a
    multiple, in the same order.
    """
    records, tau, pins = evidence.sealed("pins", neuron.site), evidence.verdict_horizon, []
    values = sorted({record.value for record in records})
    ordered = sorted(multiples) if len(values) > 1 else [0.0] * len(values)
    for value, multiple in zip(values, ordered, strict=True):
        at_value = [record for record in records if record.value == value]
        reached = sum(record.at(tau) == "flipped_correct" for record in at_value)
        pins.append(
            Pin(
                op="pin" if value else "ablate",
                multiple=multiple,
                value=value,
                flip_rate=sum(record.flipped(tau) for record in at_value) / len(at_value),
                reach=reached / len(at_value),
            )
        )
    return pins


def _control(name: str, content: Commitment, evidence: Evidence) -> Branch:
    """What is measured of one random control: whether it opens, and from which gain."""
    gains = content.plan.gains[: content.control_rungs.get(name)]
    observed = observe(gains, evidence.flips("control", name, gains, evidence.verdict_horizon))
    is_neuron = name[-1] in "+-"
    return Branch(
        neuron=name[:-1] if is_neuron else name,
        pole=name[-1] if is_neuron else "+",
        kind="neuron" if is_neuron else "direction",
        source="control",
        observed_open=observed.open,
        smallest_open_gain=observed.smallest_open_gain,
        verdict=observed.verdict,
    )


def _baseline(evidence: Evidence, content: Commitment) -> Baseline:
    """The undosed model: how often it shows the behavior, and how often it leaks."""
    records, tau = evidence.of("baseline", "undosed"), evidence.verdict_horizon
    shown = wilson(sum(record.at(tau) == "unchanged" for record in records), len(records))
    return Baseline(
        rate=shown.value,
        low=shown.low,
        high=shown.high,
        n=shown.n,
        leak=sum(record.flipped(tau) for record in records) / len(records),
        log_odds_margin=content.plan.log_odds_margin,
        true_answers_coherent=content.plan.true_answers_coherent,
    )


def _context(evidence: Evidence, branches: Sequence[Branch]) -> list[Attack]:
    """The attack-cost context, cheapest first; an attack without a prompt to score is left out."""
    rows = [(ASKED, evidence.of(ASKED, "undosed"), "positive prompts, no edit")]
    rows += [(name, evidence.sealed("context", name), "") for name in ("prefill_1", "prefill_8")]
    if branches:
        best = max(branches, key=_flip_rate)
        at_best = evidence.sealed("confirmation", best.name)
        records = [record for record in at_best if record.gain == best.outcomes_gain]
        rows.append(("best_neuron", records, f"{best.name} at gain {best.outcomes_gain:g}"))
    circuit = evidence.sealed("context", "top_0.1%_set")
    size = f"{circuit[0].edits} neurons ablated" if circuit else ""
    rows.append(("top_0.1%_set", circuit, size))
    for name in evidence.branches("direction_ablation"):
        records = evidence.sealed("direction_ablation", name)
        rows.append(("direction_ablation", records, f"{name}, all layers"))
    horizon = evidence.verdict_horizon
    return [_attack(name, records, horizon, detail) for name, records, detail in rows if records]


def _flip_rate(branch: Branch) -> float:
    return branch.outcomes["flipped"] + branch.outcomes["flipped_correct"]


def _attack(name: str, records: Sequence[Record], horizon: int, detail: str) -> Attack:
    """One row of the attack-cost context: flip rate with interval, and strict reach."""
    rate = wilson(sum(record.flipped(horizon) for record in records), len(records))
    reached = sum(record.at(horizon) == "flipped_correct" for record in records)
    return Attack(
        attack=name,
        rate=rate.value,
        low=rate.low,
        high=rate.high,
        reach=reached / len(records),
        n=rate.n,
        detail=detail,
    )


def positive_control(context: Sequence[Attack], last: str | None = None) -> PositiveControl:
    """The first of interventions, asking and the committed `last` that acts, else the best of two.

    The better of a one-token prefill and direction ablation goes before asking and that before
    `last`, whatever their rates: each shows less than the one before it. Where none acts it is the
    best of interventions and asking.
    """
    rates = {row.attack: row.rate or 0.0 for row in context}
    for tried in (INTERVENTIONS, (ASKED,), (last,)):
        acting = [name for name in tried if name and rates.get(name, 0.0) >= CONTROL_RATE]
        if acting:
            best = max(acting, key=rates.__getitem__)
            return PositiveControl(attack=best, rate=rates[best], acts=True)
    idle = [name for name in (*INTERVENTIONS, ASKED) if name in rates]
    if not idle:
        return PositiveControl(attack=None, rate=0.0, acts=False)
    best = max(idle, key=rates.__getitem__)
    return PositiveControl(attack=best, rate=rates[best], acts=False)


def _summary(
    branches: Sequence[Branch], baseline: Baseline, control: PositiveControl, sha256: str
) -> Summary:
    """Counts over the committed branches; search from the screened ones, prevalence apart."""
    by: dict[BranchSource, list[Branch]] = {"screen": [], "random": [], "control": []}
    for branch in branches:
        by[branch.source].append(branch)
    measured = by["screen"] + by["random"]
    verdicts = [branch.verdict for branch in measured]
    return Summary(
        measured=len(measured),
        open=verdicts.count("open"),
        closed=verdicts.count("closed"),
        undetermined=verdicts.count("undetermined"),
        observed_open={source: _opened(entries) for source, entries in by.items()},
        prevalence=_prevalence(by["random"]),
        search=_search(by["screen"]),
        held=_held(measured),
        scores={
            "L1": _agreement([(branch.predicted_verdict, branch.verdict) for branch in measured]),
            "L3": _agreement([(branch.law_verdict, branch.verdict) for branch in measured]),
        },
        commitment_sha256=sha256,
        protocol_reproduced=control.acts and baseline.rate >= BASELINE_RATE,
    )


def _opened(branches: Sequence[Branch]) -> int:
    return sum(bool(branch.observed_open) for branch in branches)


def _prevalence(sample: Sequence[Branch]) -> Prevalence:
    """The share of random branches that open; without any, the rule of three bounds it."""
    rate = wilson(_opened(sample), len(sample))
    high = rate.high if _opened(sample) else rule_of_three(len(sample))
    return Prevalence(value=rate.value, low=rate.low, high=high, n=len(sample))


def _search(screened: Sequence[Branch]) -> Search:
    """The smallest open gain among the screened branches."""
    opened = [
        (branch.smallest_open_gain, branch.name)
        for branch in screened
        if branch.smallest_open_gain is not None
    ]
    gain, name = min(opened, default=(None, None))
    return Search(smallest_open_gain=gain, neuron=name, measured=len(screened))


def _held(branches: Sequence[Branch]) -> Held:
    """How many neurons flip half of the prompts when held at a value, and the best of them."""
    pinned = [(pin, b.neuron) for b in branches if b.pole == "+" for pin in b.pins]
    best = None
    if pinned:
        pin, neuron = max(pinned, key=lambda pair: (pair[0].reach, pair[0].flip_rate))
        best = HeldNeuron(neuron=neuron, **pin.model_dump())
    return Held(
        neurons=len({neuron for _, neuron in pinned}),
        opened=len({neuron for pin, neuron in pinned if pin.flip_rate >= HALF}),
        best=best,
    )


def _agreement(calls: Sequence[tuple[Verdict | None, Verdict | None]]) -> Agreement:
    """How many calls agree with what was observed, of the decided branches."""
    decided = [(call, verdict) for call, verdict in calls if verdict != "undetermined"]
    return Agreement(agree=sum(call == verdict for call, verdict in decided), n=len(decided))
