"""The bundled screens by name, those of a tournament, and a user's own from a Python file."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple, cast

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.screens.attribution import attribution, integrated
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.concept import concept
from fulcra.screens.contrastive import activation_gaps, contrastive
from fulcra.screens.dla import dla
from fulcra.screens.dosed_logit import dosed_logit
from fulcra.screens.geometry import geometry
from fulcra.screens.gradient import gradient, gradient_paper, slope
from fulcra.screens.pins import pins
from fulcra.screens.random import random
from fulcra.screens.scores import Clean, Screen, Units
from fulcra.screens.universal import universal
from fulcra.screens.window import window
from fulcra.types import Behavior, Ranking

Run = Callable[[Model, Behavior, Clean], Ranking]


class Entrant(NamedTuple):
    """A screen as a tournament runs it.

    `sweeps`: it doses every branch, so it is not run again for its stability by default. kind: one
    of the bundled screens, a user's own, or one whose first neurons a tournament has put in another
    order by rollouts.
    """

    name: str
    units: Units
    run: Run
    sweeps: bool = False
    kind: Literal["bundled", "own", "reranked"] = "bundled"


#: Every bundled screen, called as screen(model, behavior, **its options).
SCREENS: dict[str, Callable[..., Ranking]] = {
    "contrastive": contrastive,
    "gradient": gradient,
    "gradient_paper": gradient_paper,
    "attribution": attribution,
    "integrated": integrated,
    "slope": slope,
    "dla": dla,
    "geometry": geometry,
    "concept": concept,
    "window": window,
    "pins": pins,
    "dosed_logit": dosed_logit,
    "random": random,
}


def _contrastive(units: Units) -> Run:
    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        ranking = contrastive(model, behavior, units=units, clean=clean)
        return ranking.without(universal(model, behavior.generic, behavior.system))

    return run


def _raw(name: str) -> Entrant:
    """A screen that needs no clean facts."""

    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        return SCREENS[name](model, behavior)

    return Entrant(name, "raw", run)


def _gain(name: str, sweeps: bool = False, **options: Units) -> Entrant:
    """A screen that scores in gain units, on the tournament's clean facts."""

    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        return SCREENS[name](model, behavior, clean=clean, **options)

    return Entrant(name, "gain", run, sweeps)


ENTRANTS: tuple[Entrant, ...] = (
    Entrant("contrastive", "raw", _contrastive("raw")),
    Entrant("contrastive", "gain", _contrastive("gain")),
    _raw("gradient"),
    _gain("gradient", units="gain"),
    _raw("gradient_paper"),
    _raw("attribution"),
    _gain("attribution", units="gain"),
    _raw("integrated"),
    _gain("slope"),
    _raw("dla"),
    _raw("geometry"),
    _raw("concept"),
    _gain("window", sweeps=True),
    _gain("dosed_logit", sweeps=True),
    _raw("random"),
)


def entrants(swept: int | None = None) -> tuple[Entrant, ...]:
    """Every screen of a tournament; with `swept`, each sweep over that many neurons.

    They are those of largest contrast; else the window screen looks at its candidates, and the
    trigger ladder at every neuron.
    """
    if swept is None:
        return ENTRANTS
    return tuple(_bounded(each, swept) if each.sweeps else each for each in ENTRANTS)


def _bounded(entrant: Entrant, swept: int) -> Entrant:
    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        gaps = activation_gaps(model, behavior)
        neurons = sweep_candidates(model, clean.stream, gaps, swept)
        return SCREENS[entrant.name](model, behavior, clean=clean, neurons=neurons)

    return entrant._replace(run=run)


def own_screen(text: str) -> Entrant:
    """The screen named by "my.py:function", called as function(model, behavior).

    InputError where it cannot be had.
    """
    file, _, name = text.rpartition(":")
    if not file or not Path(file).is_file():
        raise InputError(
            f"--screen {text}: expected a Python file and a function in it, as in my.py:function;"
            f" found no file {file or text!r}"
        )
    module = _imported(file, text)
    function = getattr(module, name, None)
    if not callable(function):
        public = (n for n, value in vars(module).items() if callable(value) and n[0] != "_")
        names = ", ".join(sorted(public)) or "none"
        raise InputError(f"--screen {text}: {file} has no function {name!r}; it has {names}")
    return Entrant(name, "raw", _checked(cast(Screen, function), text), kind="own")


def _imported(file: str, text: str) -> ModuleType:
    """The module in `file`; InputError where it is no Python file or fails on import."""
    spec = spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise InputError(f"--screen {text}: {file!r} is no Python file; give one that ends in .py")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"--screen {text}: importing {file} failed: {type(error).__name__}: {error}"
        ) from None
    return module


def _checked(screen: Screen, text: str) -> Run:
    """The screen, its ranking looked at before anyone uses it."""

    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        return require_ranking(f"--screen {text}", model, screen(model, behavior))

    return run


def require_ranking(caller: str, model: Model, ranking: object) -> Ranking:
    """What a screen of a user's own returned; InputError where it is no ranking of this model."""
    if not isinstance(ranking, Ranking) or not ranking.branches:
        raise InputError(
            f"{caller}: it returned {type(ranking).__name__}, expected a fulcra.Ranking with at"
            " least one branch"
        )
    for branch in ranking.branches:
        model.require(branch)
    return ranking
