"""Which single neuron can flip a behavior of a language model, how far, and what does it achieve?

Every name is loaded when it is first used, so that `import fulcra` takes no time.
"""

from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fulcra.behaviors import load_behavior
    from fulcra.behaviors.make import behavior
    from fulcra.defence.monitor.calibration import Calibration, CalibrationSettings, calibrate
    from fulcra.defence.monitor.watch import watch
    from fulcra.engines.edit import branch_coordinate as coordinate
    from fulcra.engines.edit import edit
    from fulcra.engines.roll import roll
    from fulcra.errors import FulcraError
    from fulcra.law.forecast import predict_ceiling, predict_trigger
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
    from fulcra.models.families import FAMILIES, Family
    from fulcra.models.reading import read
    from fulcra.protocol.opinions import Panel
    from fulcra.protocol.results.audit import AuditResult
    from fulcra.protocol.results.census import CensusSettings
    from fulcra.protocol.stages import AuditSettings
    from fulcra.screens.contrastive import contrastive
    from fulcra.screens.rank import rank
    from fulcra.screens.universal import universal
    from fulcra.studies.audit import audit
    from fulcra.studies.census import census
    from fulcra.studies.dry_run import planned
    from fulcra.studies.effects.study import EffectsSettings, effects
    from fulcra.studies.recipe import Recipe, recipe
    from fulcra.studies.tournament import TournamentSettings, tournament
    from fulcra.studies.verify import verify
    from fulcra.studies.window import WindowSettings, window
    from fulcra.types import Behavior, Direction, Edge, Edit, Neuron, Ranking

#: Where each name of the shop window stands; its name there, where it is another, after a colon.
_PLACES = {
    "AuditResult": "fulcra.protocol.results.audit",
    "AuditSettings": "fulcra.protocol.stages",
    "Behavior": "fulcra.types",
    "Calibration": "fulcra.defence.monitor.calibration",
    "CalibrationSettings": "fulcra.defence.monitor.calibration",
    "CensusSettings": "fulcra.protocol.results.census",
    "Direction": "fulcra.types",
    "Edge": "fulcra.types",
    "Edit": "fulcra.types",
    "EffectsSettings": "fulcra.studies.effects.study",
    "FAMILIES": "fulcra.models.families",
    "Family": "fulcra.models.families",
    "FulcraError": "fulcra.errors",
    "Model": "fulcra.models",
    "Neuron": "fulcra.types",
    "Panel": "fulcra.protocol.opinions",
    "Ranking": "fulcra.types",
    "Recipe": "fulcra.studies.recipe",
    "TournamentSettings": "fulcra.studies.tournament",
    "WindowSettings": "fulcra.studies.window",
    "ablate_direction": "fulcra.models",
    "ablate_mean": "fulcra.models",
    "add": "fulcra.models",
    "add_mlp": "fulcra.models",
    "anchor": "fulcra.models",
    "audit": "fulcra.studies.audit",
    "behavior": "fulcra.behaviors.make",
    "calibrate": "fulcra.defence.monitor.calibration",
    "census": "fulcra.studies.census",
    "contrastive": "fulcra.screens.contrastive",
    "coordinate": "fulcra.engines.edit:branch_coordinate",
    "direction": "fulcra.models",
    "edit": "fulcra.engines.edit",
    "effects": "fulcra.studies.effects.study",
    "load": "fulcra.models",
    "load_behavior": "fulcra.behaviors",
    "pin": "fulcra.models",
    "planned": "fulcra.studies.dry_run",
    "predict_ceiling": "fulcra.law.forecast",
    "predict_trigger": "fulcra.law.forecast",
    "rank": "fulcra.screens.rank",
    "read": "fulcra.models.reading",
    "recipe": "fulcra.studies.recipe",
    "roll": "fulcra.engines.roll",
    "scale": "fulcra.models",
    "tournament": "fulcra.studies.tournament",
    "universal": "fulcra.screens.universal",
    "verify": "fulcra.studies.verify",
    "watch": "fulcra.defence.monitor.watch",
    "window": "fulcra.studies.window",
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    """A name of the shop window, loaded now."""
    if name not in _PLACES:
        raise AttributeError(f"module 'fulcra' has no attribute {name!r}; it has {__all__}")
    place, _, other = _PLACES[name].partition(":")
    value = getattr(import_module(place), other or name)
    if isinstance(value, FunctionType):
        from fulcra.verbs import checked

        value = checked(name, value)
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return __all__
