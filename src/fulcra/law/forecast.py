"""Both edges of one branch's window, forecast before any dosed rollout (law.md section 4)."""

from collections.abc import Sequence

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.generic import continue_openings
from fulcra.errors import Inconclusive
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models import Model
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Behavior, Branch, Edge


def predict_ceiling(
    model: Model,
    branch: Branch,
    openings: Sequence[str] = OPENINGS[:32],
    seed: int = 0,
    system: str | None = None,
) -> Edge:
    """The ceiling of any write: the gain at which a dose costs .8 nat a token on generic text.

    The text is `openings`, continued under the system prompt, and so is the gain's budget: give
    `behavior.generic, system=behavior.system` for the ceiling that an audit commits. Cost: one
    rollout an opening, one clean pass, 13 dosed passes over 16 texts.
    """
    text = continue_openings(model, openings, seed, system)
    place = coordinate(model, stream(model, text.prompts, text.replies), branch)
    return kl_ladder(model, [place], text)[0]


def predict_trigger(model: Model, branch: Branch, behavior: Behavior, seed: int = 0) -> Edge:
    """The trigger of any write: the gain at which target openings outweigh control openings.

    Inconclusive where the behavior declares no openings. Cost: one rollout a generic opening, and
    at most 10 dosed passes over the selection prompts.
    """
    prompts = behavior.selection
    if not any(prompt.target_openings or prompt.control_openings for prompt in prompts):
        raise Inconclusive(
            f"trigger of {branch}: behavior {behavior.name} declares no openings, so no trigger can"
            " be forecast; give target and control openings"
        )
    openings = Openings.of(model, prompts, behavior.system)
    return trigger_ladder(model, [_generic(model, behavior, branch, seed)], openings)[0]


def _generic(model: Model, behavior: Behavior, branch: Branch, seed: int) -> Coordinate:
    """The branch in units of its stream over the behavior's generic text."""
    text = continue_openings(model, behavior.generic, seed, behavior.system)
    return coordinate(model, stream(model, text.prompts, text.replies), branch)
