"""The ceiling forecast from curvature: where the divergence would reach the ladder's level if it
stayed quadratic in the gain.
"""

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
    """v' F v B^2 of each branch [nats a token]: the divergence of a small gain g is half of it
    times g^2.

    The write is seen as a unit direction of length |r|, through a post-MLP norm where there is one.
    One clean pass and DRAWS backward passes serve all branches. InputError for an expert, which
    acts on routed tokens alone.
    """
    some = text.first(TEXTS)
    factors = fisher_factors(model, some.prompts, some.replies, DRAWS)
    found = []
    for at in branches:
        if not isinstance(at.branch, Direction) and at.branch.expert is not None:
            raise InputError(
                f"branch {at.branch}: an expert acts on routed tokens alone, which one shift cannot"
                " stand for; use kl_ladder"
            )
        write = as_read(model, direction_of(model, at))
        unit = write / write.norm() * float(clean.norm[at.branch.layer])
        found.append(float((factors[at.branch.layer] @ unit).square().sum()))
    return found


def second_order_kl(
    model: Model, branches: Sequence[Coordinate], clean: Stream, text: GenericText
) -> list[Edge]:
    """The predicted ceiling of each branch, sqrt(2 LEVEL / curvature) in gain; tier 1, the same on
    both poles.
    """
    found = [
        math.sqrt(2 * LEVEL / value) if value > 0 else None
        for value in curvatures(model, branches, clean, text)
    ]
    reached = [
        gain if gain is not None and at.reaches(gain) else None
        for at, gain in zip(branches, found, strict=True)
    ]
    return [at.edge(gain, "second_order_kl", 1) for at, gain in zip(branches, reached, strict=True)]
