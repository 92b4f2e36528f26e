"""Doses under a monitor: of one neuron by gain, spread over several, on some positions only."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from fulcra.defence.monitor.attacks import Attacked
from fulcra.defence.monitor.statistics import Scores
from fulcra.defence.monitor.traffic import WINDOW, Clean, Pairs, read_windows
from fulcra.defence.monitor.tried import Tried, share
from fulcra.models import Model
from fulcra.models.partial_doses import partly_dosed
from fulcra.protocol.results.monitor import BranchAlarms, DoseAlarms, Pick
from fulcra.types import Branch

#: The gain of doses that adapt, below most triggers; how many neurons these are spread over; the
#: shares of positions that have them.
ADAPTIVE = 0.2
SPREADS, SHARES = (2, 4, 8), (0.5, 0.25, 0.125)
#: How the neurons that share a dose are picked: as an attacker would who knows the monitor.
PICKS: tuple[Pick, ...] = ("unlike", "unlike over layers")

#: Windows under a dose, and the neurons that have it.
Held = tuple[Scores, Collection[Branch]]
#: Windows by gain, for every dosed neuron; None where no such dose exists.
Rungs = dict[float, list[Scores | None]]


class DoseKind(NamedTuple):
    """What is done: the gain, how many neurons share it, the share of positions that have it.

    `pick` is how neurons that share it were picked.
    """

    gain: float
    neurons: int = 1
    share: float = 1.0
    pick: Pick = "alike"


def dosed_rungs(tried: Tried) -> Rungs:
    """Windows under doses of every target at every gain."""
    rungs = Rungs()
    with tried.clock.step("doses", len(tried.settings.gains) * len(tried.targets)) as step:
        for gain in tried.settings.gains:
            rungs[gain] = []
            for i, target in enumerate(tried.targets):
                edit = tried.doser.dose(target.neuron, gain)
                rungs[gain].append(None if edit is None else tried.rolled((edit,), i))
                step.advance(1)
    return rungs


def pooled(tried: Tried, rungs: Rungs) -> tuple[DoseAlarms, ...]:
    """The alarms at each gain, over all targets that can have it; none where no target can."""
    entries = []
    for gain, rung in rungs.items():
        both = zip(tried.targets, rung, strict=True)
        held = [(each, {target.neuron}) for target, each in both if each is not None]
        entries += _entries(tried, DoseKind(gain), held)
    return tuple(entries)


def branch_alarms(tried: Tried, rungs: Rungs) -> tuple[BranchAlarms, ...]:
    """From which gain on each target is noticed in all windows, as far as it does not open there.

    A target that no audit saw open is followed over all gains.
    """
    return tuple(_branch(tried, target, i, rungs) for i, target in enumerate(tried.targets))


def spread_doses(tried: Tried) -> tuple[DoseAlarms, ...]:
    """Alarms under doses that are parted among several neurons, of a layer and of all layers.

    None where no target can have such a dose.
    """
    entries = list[DoseAlarms]()
    kinds = [DoseKind(ADAPTIVE, count, pick=pick) for pick in PICKS for count in SPREADS]
    with tried.clock.step("spread doses", len(kinds)) as step:
        for kind in kinds:
            entries += _entries(tried, kind, list(_spread(tried, kind)))
            step.advance(1)
    return tuple(entries)


def _spread(tried: Tried, kind: DoseKind) -> Iterator[Held]:
    layers = range(tried.model.n_layers) if kind.pick == "unlike over layers" else None
    for i, target in enumerate(tried.targets):
        edits = tried.doser.spread(target.neuron, kind.gain, kind.neurons, layers)
        if edits is not None:
            yield tried.rolled(edits, i), {edit.site for edit in edits}


def partial_doses(tried: Tried, clean: Clean) -> tuple[DoseAlarms, ...]:
    """Alarms under doses on a drawn share of the positions, over replies of the undosed model.

    None in a mixture of experts, and where no target can have such a dose.
    """
    if tried.model.n_experts:
        return ()
    pairs, entries = _enough(clean, tried.settings.dosed), list[DoseAlarms]()
    with tried.clock.step("partial doses", len(SHARES)) as step:
        for part in SHARES:
            held = list(_partly(tried, ADAPTIVE, part, pairs))
            entries += _entries(tried, DoseKind(ADAPTIVE, share=part), held)
            step.advance(1)
    return tuple(entries)


def _partly(tried: Tried, gain: float, part: float, pairs: Pairs) -> Iterator[Held]:
    for target in tried.targets:
        if tried.doser.dose(target.neuron, gain) is not None:
            alpha = tried.doser.alpha(target.neuron, gain)
            dosed = partly_dosed(tried.model, target.neuron, alpha, part, tried.settings.seed)
            yield tried.scores(read_windows(tried.model, pairs, dosed)), {target.neuron}


def _entries(tried: Tried, kind: DoseKind, held: Sequence[Held]) -> list[DoseAlarms]:
    """The alarms of all windows of one kind of dose, and how many name a dosed neuron.

    Nothing where no target could have it: of no window there is no rate.
    """
    if not held:
        return []
    alarms = tried.alarms([each for each, _ in held])
    hits = sum(_hits(tried.model, each, sites) for each, sites in held)
    return [DoseAlarms(**kind._asdict(), alarms=alarms, named=share(hits, alarms.dose.n))]


def _hits(model: Model, held: Scores, sites: Collection[Branch]) -> int:
    """How many windows name one of the sites, with its pole."""
    return sum(held.named(model, i) in sites for i in range(len(held.values)))


def _branch(tried: Tried, target: Attacked, place: int, rungs: Rungs) -> BranchAlarms:
    rates = {
        gain: tried.alarms([held]).dose.rate
        for gain, rung in rungs.items()
        if (held := rung[place]) is not None
    }
    noticed = None
    for gain in sorted(rates, reverse=True):
        if target.opens is not None and gain >= target.opens:
            continue
        if rates[gain] < 1:
            break
        noticed = gain
    return BranchAlarms(
        neuron=str(target.neuron),
        source=target.source,
        opens=target.opens,
        noticed=noticed,
        gains=tuple(rates),
        rates=tuple(rates.values()),
    )


def _enough(clean: Clean, count: int) -> Pairs:
    """The first replies that fill `count` windows."""
    pairs, tokens = [], 0
    for pair in clean.pairs:
        if tokens >= count * WINDOW:
            break
        pairs.append(pair)
        tokens += len(pair[1])
    return pairs
