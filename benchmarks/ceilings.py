"""Predicted ceilings for every neuron and pole of the bundled organism."""

from collections.abc import Callable

from ladders import poles, text
from pairs import Row, alone
from setting import Size, coordinates, model

from fulcra.ladders import kl_ladder


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """One row without a peer."""
    if not wanted("ceilings_all"):
        return []
    branches = [branch for place in coordinates(model().d_mlp) for branch in poles(place)][
        : size.ceilings
    ]
    return [alone("ceilings_all", lambda: kl_ladder(model(), branches, text(8)))[0]]
