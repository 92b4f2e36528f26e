"""The ceiling: the gain at which coherent output is lost on generic prompts (law.md section 3)."""

from collections.abc import Sequence

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.generic import continue_openings
from fulcra.ladders import kl_ladder
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Branch, Edge


def predict_ceiling(
    model: Model, branch: Branch, openings: Sequence[str] = OPENINGS[:32], seed: int = 0
) -> Edge:
    """The ceiling of any write, forecast by the KL ladder before any dosed rollout; method and tier
    are named in it.

    Cost: one rollout an opening, one clean pass, 13 dosed passes over 16 texts.
    """
    text = continue_openings(model, openings, seed)
    return kl_ladder(
        model, [coordinate(model, stream(model, text.prompts, text.replies), branch)], text
    )[0]
