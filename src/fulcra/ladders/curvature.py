"""The ceiling forecast from curvature: where a divergence quadratic in the gain has its level."""

import math
from collections.abc import Sequence

from fulcra.engines.generic import GenericText
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import LEVEL, TEXTS
from fulcra.models import Model
from fulcra.models.capture import Stream, as_read
from fulcra.models.coordinate import direction_of
from fulcra.models.fisher import fisher_factors
from fulcra.types import Direction, Edge

#: Draws of the Fisher information: 16 texts x 16 draws leave about 9 % of noise in the curvature, 4
#: % in the gain.
DRAWS = 16


def curvatures(
    model: Model, branches: Sequence[Coordinate], clean: Stream, text: GenericText
) -> list[float]:
    """v' F v B^2 of each branch [nats a token], twice the divergence of a small gain over gain^2.

    The write counts as a direction of length |r|, through a post-MLP norm where there is one. One
    clean pass and DRAWS backward passes serve all branches. InputError for an expert, which acts on
    routed tokens alone.
    """
    generic = text.first(TEXTS)
    factors = fisher_factors(model, generic.prompts, generic.replies, DRAWS)
    values = []
    for coord in branches:
        if _of_expert(coord):
            raise InputError(
                f"branch {coord.branch}: an expert acts on routed tokens alone, which one shift"
                " cannot stand for; use kl_ladder"
            )
        write = as_read(model, direction_of(model, coord))
        shift = write / write.norm() * float(clean.norm[coord.branch.layer])
        values.append(float((factors[coord.branch.layer] @ shift).square().sum()))
    return values


def _of_expert(coord: Coordinate) -> bool:
    """Whether a branch acts on the tokens alone that are routed to its expert."""
    return not isinstance(coord.branch, Direction) and coord.branch.expert is not None


def second_order_kl(
    model: Model, branches: Sequence[Coordinate], clean: Stream, text: GenericText
) -> list[Edge]:
    """The predicted ceiling of each branch, sqrt(2 LEVEL / curvature) in gain; tier 1.

    The same on both poles; censored where the rung does not exist, and of an expert, which has no
    forecast.
    """
    shared = [branch for branch in branches if not _of_expert(branch)]
    values = iter(curvatures(model, shared, clean, text) if shared else ())
    edges = []
    for branch in branches:
        value = 0.0 if _of_expert(branch) else next(values)
        gain = math.sqrt(2 * LEVEL / value) if value > 0 else None
        reached = gain if gain is not None and branch.reaches(gain) else None
        edges.append(branch.edge(reached, "second_order_kl", 1))
    return edges
