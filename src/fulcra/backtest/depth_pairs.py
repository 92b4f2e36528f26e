"""Whether one window tells another's: of the neuron's other pole, or under another behavior."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations, permutations
from statistics import fmean, median
from typing import NamedTuple, TypeVar

import numpy as np

from fulcra.backtest.depth_rows import CaseRows, DrawnBranch, PoolBranch
from fulcra.backtest.drawn_rows import Floats, Resamples, Weightings
from fulcra.backtest.grouping import grouped
from fulcra.formulas.rank_correlation import rank_cosines, stratum_ranks
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.depth import Behaviors, Poles, Triggers
from fulcra.protocol.results.validation import CeilingRow

#: Which pole is looked up for one that opened: the other, or under another behavior the same.
OPPOSITE, SAME = {"+": "-", "-": "+"}, {"+": "+", "-": "-"}
#: A lineage and a neuron: what is resampled.
Site = tuple[str, Hashable]
#: A neuron and a pole: which branch of a model it is.
Key = tuple[str, str]
Row = TypeVar("Row", PoolBranch, DrawnBranch)


class Opened(NamedTuple):
    """A branch observed open, what it stands for, and the forecast of its other pole or behavior.

    `layer`: the mean chance of the other's layer in its pool.
    """

    site: Site
    weight: float
    chance: float
    layer: float


class Edges(NamedTuple):
    """One edge measured on both poles of a neuron [gain], and its median of the layer's others."""

    site: Site
    stratum: tuple[str, int]
    plus: float
    minus: float
    layer: float


def poles(cases: Sequence[CaseRows], ceilings: Sequence[CeilingRow], seed: int) -> Poles:
    """The two poles of neurons: ceilings of models, forecast triggers of pools, what was drawn."""
    edges = _edges(ceilings)
    again = Resamples.of([edge.site for edge in edges], seed)
    columns = [np.array([getattr(edge, name) for edge in edges]) for name in ("plus", "minus")]
    drawn = [pair for case in cases for pair in _both_poles(_by_key(case.drawn))]
    opened = [sum(row.opened for row in pair) for pair in drawn]
    return Poles(
        pairs=len(edges),
        ceilings=_rho(columns, [edge.stratum for edge in edges], again),
        over_layer=again.mean(np.array([_over_layer(edge) for edge in edges])),
        triggers=triggers(_pool_poles(cases), _opened_poles(cases), seed),
        drawn=len(drawn),
        single=opened.count(1),
        double=opened.count(2),
    )


def triggers(
    pairs: Sequence[tuple[PoolBranch, PoolBranch]], opened: Sequence[Opened], seed: int
) -> Triggers:
    """How far the first forecast of each pair tells the second, and an opening the other's."""
    odds = [np.array([pair[i].odds for pair in pairs]) for i in (0, 1)]
    strata = [(a.at.stratum, b.at.stratum) for a, b in pairs]
    weights = np.array([each.weight for each in opened], float)
    chances = np.array([each.chance for each in opened], float)
    layers = np.array([each.layer for each in opened], float)
    again = Resamples.of([each.site for each in opened], seed)
    return Triggers(
        pairs=len(pairs),
        rho=_rho(odds, strata, Resamples.of([a.at.site for a, _ in pairs], seed)),
        opened=len(opened),
        lift=again.ratio(weights * chances, weights * layers),
    )


def behaviors(cases: Sequence[CaseRows], seed: int) -> Behaviors:
    """The windows of branches under two behaviors of a model, forecast and measured."""
    pairs = [pair for a, b in _of_models(cases) for pair in _common(a.drawn, b.drawn)]
    again = Resamples.of([a.at.site for a, _ in pairs], seed)
    collapses = np.array([_octaves(a.collapse, b.collapse) for a, b in pairs], float)
    reached = np.array([_octaves(a.trigger, b.trigger) for a, b in pairs], float)
    pools = [pair for a, b in _of_models(cases) for pair in _common(a.pool, b.pool)]

    def apart(drawn: Weightings) -> Floats:
        return np.subtract(_means(reached, drawn), _means(collapses, drawn))

    return Behaviors(
        forecast=triggers(pools, _opened_elsewhere(cases), seed),
        ceiling_pairs=int(np.isfinite(collapses).sum()),
        ceilings=again.mean(collapses),
        trigger_pairs=int(np.isfinite(reached).sum()),
        triggers=again.mean(reached),
        apart=again.figure(apart),
    )


def _rho(columns: Sequence[Floats], strata: Sequence[Hashable], again: Resamples) -> Bounded:
    """The rank correlation of two columns within strata, with its interval."""
    first, second = (stratum_ranks(column, strata) for column in columns)
    return again.figure(lambda drawn: rank_cosines(first, second, drawn))


def _means(values: Floats, weightings: Weightings) -> Floats:
    """The mean of the values that are there under each weighting, [weighting]."""
    means: Floats = (weightings @ np.nan_to_num(values)) / (weightings @ np.isfinite(values))
    return means


def _octaves(first: float | None, second: float | None) -> float:
    """How far two gains lie apart; nan where one is beyond the ladder."""
    return float("nan") if first is None or second is None else abs(float(np.log2(first / second)))


def _edges(rows: Sequence[CeilingRow]) -> list[Edges]:
    """The ceilings of every neuron whose both poles are on the ladder."""
    edges = []
    for mine in grouped(rows, lambda row: f"{row.model} {row.layer}").values():
        gains = {(row.neuron, row.branch[-1]): row.measured for row in mine if row.measured}
        for row in mine:
            plus, minus = gains.get((row.neuron, "+")), gains.get((row.neuron, "-"))
            if row.branch[-1] == "+" and plus is not None and minus is not None:
                others = [gain for (neuron, _), gain in gains.items() if neuron != row.neuron]
                layer = median(others) if others else float("nan")
                site = (row.lineage, row.neuron)
                edges.append(Edges(site, (row.model, row.layer), plus, minus, layer))
    return edges


def _over_layer(edge: Edges) -> float:
    """How much further the median of the layer's others is off than the other pole [octaves]."""
    rival = fmean([_octaves(edge.plus, edge.layer), _octaves(edge.minus, edge.layer)])
    return rival - _octaves(edge.plus, edge.minus)


def _by_key(rows: Sequence[Row]) -> dict[Key, Row]:
    return {(row.at.neuron, row.at.pole): row for row in rows}


def _both_poles(rows: Mapping[Key, Row]) -> Iterator[tuple[Row, Row]]:
    """Both poles of every neuron that has both, the positive one first."""
    for (neuron, pole), row in rows.items():
        if pole == "+" and (neuron, "-") in rows:
            yield row, rows[neuron, "-"]


def _common(first: Sequence[Row], second: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """The branches that are in both."""
    others = _by_key(second)
    for key, row in _by_key(first).items():
        if key in others:
            yield row, others[key]


def _of_models(cases: Sequence[CaseRows]) -> list[tuple[CaseRows, CaseRows]]:
    """Every two cases of one model, once."""
    models = grouped(cases, lambda case: case.model).values()
    return [pair for mine in models for pair in combinations(mine, 2)]


def _pool_poles(cases: Sequence[CaseRows]) -> list[tuple[PoolBranch, PoolBranch]]:
    return [pair for case in cases for pair in _both_poles(_by_key(case.pool))]


def _opened_poles(cases: Sequence[CaseRows]) -> list[Opened]:
    """Every opened branch whose other pole is in its pool."""
    return [each for case in cases for each in _opened(case, case, OPPOSITE)]


def _opened_elsewhere(cases: Sequence[CaseRows]) -> list[Opened]:
    """Every opened branch that is in the pool of another behavior of its model, once for each."""
    both_ways = [ordered for pair in _of_models(cases) for ordered in permutations(pair)]
    return [each for a, b in both_ways for each in _opened(a, b, SAME)]


def _opened(case: CaseRows, other: CaseRows, poles: Mapping[str, str]) -> Iterator[Opened]:
    """The opened branches of a case beside the forecasts of another, or of other poles."""
    forecasts = _by_key(other.pool)
    layers = {
        layer: fmean(row.chance for row in mine)
        for layer, mine in grouped(other.pool, lambda row: str(row.at.layer)).items()
    }
    for row in case.drawn:
        key = (row.at.neuron, poles[row.at.pole])
        if row.opened and key in forecasts:
            layer = layers[str(row.at.layer)]
            yield Opened(row.at.site, row.weight, forecasts[key].chance, layer)
