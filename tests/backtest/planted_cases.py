"""Cases of a study whose truth was planted, for what stands beneath the law."""

from fulcra.backtest.depth_rows import CaseRows, DrawnBranch, Place, PoolBranch
from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol.results.depth import Reason
from fulcra.types import Neuron

LAYERS = 8


def place(neuron: int, pole: str = "+", model: str = "m", behavior: str = "b") -> Place:
    """A branch of model `m`, whose lineage is its own; eight layers, neuron by neuron."""
    layer = neuron % LAYERS
    return Place(f"l-{model}", model, behavior, layer, f"L{layer}.N{neuron}", pole)


def forecast(at: Place, odds: float, chance: float = 0.0) -> PoolBranch:
    """A branch of a pool."""
    return PoolBranch(at, odds, chance)


def drawn(
    at: Place,
    *,
    opened: bool = False,
    reason: Reason | None = None,
    weight: float = 1.0,
    ceiling: float | None = 1.0,
    collapse: float | None = 1.0,
    damage: float | None = 1.0,
    trigger: float | None = None,
    replies: tuple[float | None, float] = (1.0, 0.0),
    units: tuple[float, float, float | None] = (10.0, 0.0, None),
) -> DrawnBranch:
    """A measured branch; `replies` collapsed and unchanged, `units` budget, c0 and cos_max."""
    budget, alignment0, cap = units
    branch = Neuron.parse(f"{at.neuron}{at.pole}")
    return DrawnBranch(
        at=at,
        depth=at.layer / LAYERS,
        deep=at.layer > LAYERS // 4,
        weight=weight,
        opened=opened,
        reason=reason,
        coordinate=Coordinate(branch, budget, alignment0, cap_alignment=cap),
        ceiling=ceiling,
        trigger=trigger,
        collapse=collapse,
        damage=damage,
        collapsed=replies[0],
        unchanged=replies[1],
    )


def case(
    rows: list[DrawnBranch], pool: list[PoolBranch] | None = None, model: str = "m"
) -> CaseRows:
    """A case of its branches, the first gain .1."""
    return CaseRows(f"l-{model}", model, tuple(pool or ()), tuple(rows), 0.1)
