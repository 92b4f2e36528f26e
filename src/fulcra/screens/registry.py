"""The screens of a tournament by name, with what they learn from; a user's own enters from a Python
file.
"""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Literal, NamedTuple, cast

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.screens.attribution import attribution, integrated
from fulcra.screens.concept import concept
from fulcra.screens.contrastive import contrastive
from fulcra.screens.dla import dla
from fulcra.screens.dosed_logit import dosed_logit
from fulcra.screens.geometry import geometry
from fulcra.screens.gradient import gradient, gradient_paper, slope
from fulcra.screens.random import random
from fulcra.screens.scores import Clean, Screen, Units
from fulcra.screens.universal import universal
from fulcra.screens.window import window
from fulcra.types import Behavior, Ranking

Run = Callable[[Model, Behavior, Clean], Ranking]


class Entrant(NamedTuple):
    """A screen as a tournament runs it. `sweeps`: it doses every branch, so it is not run again for
    its stability by default.

    kind: one of the bundled screens, a user's own, or one whose first neurons a tournament has put
    in another order by rollouts.
    """

    name: str
    units: Units
    run: Run
    sweeps: bool = False
    kind: Literal["bundled", "own", "reranked"] = "bundled"


def _contrastive(units: Units) -> Run:
    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        found = contrastive(model, behavior, units=units, clean=clean)
        return found.without(universal(model, behavior.generic, behavior.system))

    return run


ENTRANTS: tuple[Entrant, ...] = (
    Entrant("contrastive", "raw", _contrastive("raw")),
    Entrant("contrastive", "gain", _contrastive("gain")),
    Entrant("gradient", "raw", lambda model, behavior, clean: gradient(model, behavior)),
    Entrant(
        "gradient",
        "gain",
        lambda model, behavior, clean: gradient(model, behavior, units="gain", clean=clean),
    ),
    Entrant(
        "gradient_paper", "raw", lambda model, behavior, clean: gradient_paper(model, behavior)
    ),
    Entrant("attribution", "raw", lambda model, behavior, clean: attribution(model, behavior)),
    Entrant(
        "attribution",
        "gain",
        lambda model, behavior, clean: attribution(model, behavior, units="gain", clean=clean),
    ),
    Entrant("integrated", "raw", lambda model, behavior, clean: integrated(model, behavior)),
    Entrant("slope", "gain", lambda model, behavior, clean: slope(model, behavior, clean=clean)),
    Entrant("dla", "raw", lambda model, behavior, clean: dla(model, behavior)),
    Entrant("geometry", "raw", lambda model, behavior, clean: geometry(model, behavior)),
    Entrant("concept", "raw", lambda model, behavior, clean: concept(model, behavior)),
    Entrant(
        "window",
        "gain",
        lambda model, behavior, clean: window(model, behavior, clean=clean),
        sweeps=True,
    ),
    Entrant(
        "dosed_logit",
        "gain",
        lambda model, behavior, clean: dosed_logit(model, behavior, clean=clean),
        sweeps=True,
    ),
    Entrant("random", "raw", lambda model, behavior, clean: random(model, behavior)),
)


def own_screen(text: str) -> Entrant:
    """The screen named by "my.py:function", called as function(model, behavior); InputError where
    it cannot be had.
    """
    file, _, name = text.rpartition(":")
    if not file or not Path(file).is_file():
        raise InputError(
            f"--screen {text}: expected a Python file and a function in it, as in my.py:function;"
            f" found no file {file or text!r}"
        )
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
    function = getattr(module, name, None)
    if not callable(function):
        there = (
            ", ".join(
                sorted(
                    n
                    for n, value in vars(module).items()
                    if callable(value) and not n.startswith("_")
                )
            )
            or "none"
        )
        raise InputError(f"--screen {text}: {file} has no function {name!r}; it has {there}")
    return Entrant(name, "raw", _checked(cast(Screen, function), text), kind="own")


def _checked(screen: Screen, text: str) -> Run:
    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        found: object = screen(model, behavior)
        if not isinstance(found, Ranking) or not found.branches:
            raise InputError(
                f"--screen {text}: it returned {type(found).__name__}, expected a fulcra.Ranking"
                " with at least one branch"
            )
        for branch in found.branches:
            model.require(branch)
        return found

    return run
