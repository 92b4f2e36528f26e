"""Which single neuron can flip a behavior of a language model, how far can it be pushed, and what
does the flip achieve?
"""

from fulcra.behaviors import load_behavior
from fulcra.engines.edit import branch_coordinate as coordinate
from fulcra.engines.edit import edit
from fulcra.errors import FulcraError
from fulcra.models import (
    Model,
    ablate_direction,
    ablate_mean,
    add,
    add_mlp,
    anchor,
    direction,
    load,
    pin,
    scale,
)
from fulcra.protocol.stages import AuditSettings
from fulcra.screens.contrastive import contrastive
from fulcra.screens.universal import universal
from fulcra.studies.audit import audit
from fulcra.studies.census import census
from fulcra.studies.effects.study import effects
from fulcra.studies.recipe import read_recipe
from fulcra.studies.tournament import tournament
from fulcra.studies.verify import verify
from fulcra.types import Behavior, Direction, Edge, Edit, Neuron, Ranking
from fulcra.window.ceiling import predict_ceiling

__all__ = [
    "AuditSettings",
    "Behavior",
    "Direction",
    "Edge",
    "Edit",
    "FulcraError",
    "Model",
    "Neuron",
    "Ranking",
    "ablate_direction",
    "ablate_mean",
    "add",
    "add_mlp",
    "anchor",
    "audit",
    "census",
    "contrastive",
    "coordinate",
    "direction",
    "edit",
    "effects",
    "load",
    "load_behavior",
    "pin",
    "predict_ceiling",
    "read_recipe",
    "scale",
    "tournament",
    "universal",
    "verify",
]
