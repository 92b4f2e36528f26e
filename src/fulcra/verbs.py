"""Verbs of the shop window: an argument that is none of its kind is refused in one line."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import (
    Literal,
    ParamSpec,
    SupportsFloat,
    SupportsIndex,
    TypeGuard,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from fulcra.errors import InputError

#: How what a verb takes is made, by the name of its type.
_MADE = {
    "Model": "fulcra.load(name)",
    "Behavior": "fulcra.load_behavior(name), or fulcra.behavior(...)",
    "Neuron": 'fulcra.Neuron("L1.N83-")',
    "Direction": "fulcra.direction(layer, vector)",
    "Edit": "fulcra.add(branch, gain=.3), pin, scale, anchor",
    "AuditSettings": "fulcra.AuditSettings(neurons=8)",
    "WindowSettings": "fulcra.WindowSettings(gains=(.3, .6))",
    "EffectsSettings": "fulcra.EffectsSettings(tasks=(name,))",
    "CensusSettings": "fulcra.CensusSettings(controls=20)",
    "TournamentSettings": "fulcra.TournamentSettings(sample=200)",
    "CalibrationSettings": "fulcra.CalibrationSettings(windows=200)",
    "Panel": "fulcra.Panel(judges)",
    "Calibration": "fulcra.calibrate(model, behavior)",
    "Recipe": "fulcra.recipe(model, edits, name)",
}
#: Characters of a wrong argument that are shown.
_WIDTH = 40
P = ParamSpec("P")
T = TypeVar("T")


def checked(name: str, verb: Callable[P, T]) -> Callable[P, T]:
    """The verb of that name, held to the types of its signature; a string may stand for a path.

    Its call raises InputError for an argument of another type, one text where a list of them is
    asked for, or an element of another type. What a signature does not name stays Python's own
    TypeError.
    """
    signature, hints = inspect.signature(verb), get_type_hints(verb)

    @wraps(verb)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        bound = signature.bind(*arguments, **options)
        for argument, value in bound.arguments.items():
            hint = _asked_of(signature.parameters[argument], hints[argument])
            if get_origin(hint) is Unpack:
                kinds = get_type_hints(get_args(hint)[0])
                for option, each in value.items():
                    value[option] = _taken(f"{name}(): {option}", each, kinds.get(option, object))
            else:
                bound.arguments[argument] = _taken(f"{name}(): {argument}", value, hint)
        return verb(*bound.args, **bound.kwargs)

    return call


def _taken(argument: str, value: object, hint: object) -> object:
    """A value as the verb takes it; InputError for another kind.

    Text becomes the path that is asked for, and what can only be gone through once a list.
    """
    if fits(value, hint):
        return value
    if isinstance(value, str) and fits(Path(value), hint):
        return Path(value)
    each = _gone_through(value)
    if not fits(each, hint):
        raise InputError(f"{argument} {_wrong(each, hint)}")
    return each


def _gone_through(value: object) -> object:
    """The elements of a generator, a set or an array as a list; any other value as it is."""
    if isinstance(value, str | bytes | Sequence | Mapping) or not isinstance(value, Iterable):
        return value
    try:
        return list(value)
    except TypeError:  # an array of no axis
        return value


def _asked_of(parameter: inspect.Parameter, hint: object) -> object:
    """The type of a whole argument: of `*each` that of the tuple; options without one pass."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return Sequence[hint]  # type: ignore[valid-type]
    if parameter.kind is inspect.Parameter.VAR_KEYWORD and get_origin(hint) is not Unpack:
        return object
    return hint


def fits(value: object, hint: object) -> bool:
    """Whether a value is of the kind that a type hint names; true of hints it cannot judge."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inside)
    if origin is Sequence:
        return _listed(value) and all(fits(each, inside[0]) for each in value)
    if origin is Literal:
        return value in inside
    if hint is float:
        return isinstance(value, SupportsFloat)
    if hint is int:
        return isinstance(value, SupportsIndex)
    if origin is None and isinstance(hint, type):
        return _is(value, hint)
    return True


def _is(value: object, kind: type) -> bool:
    """Whether a value is of a class; true of a protocol, which cannot be asked."""
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


def _listed(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _wrong(value: object, hint: object) -> str:
    """What was given and what is expected, of a value that does not fit."""
    hint = _present(hint)
    (inside, *_) = get_args(hint) or (None,)
    if get_origin(hint) is Sequence and not _listed(value):
        kind = "text" if isinstance(value, str) else type(value).__name__
        return f"is one {kind}; give a list, each {_expected(inside)}"
    if get_origin(hint) is Sequence and _listed(value):
        wrong = next(each for each in value if not fits(each, inside))
        return f"holds {_shown(wrong)}; give a list, each {_expected(inside)}"
    return f"is {_shown(value)}; expected {_expected(hint)}"


def _present(hint: object) -> object:
    """The type of an argument that may be None, where it is not; any other hint as it is."""
    inside = [each for each in get_args(hint) if each is not type(None)]
    return inside[0] if len(inside) == 1 and type(None) in get_args(hint) else hint


def _expected(hint: object) -> str:
    """The kinds that a hint names, each with how it is made."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_expected(each) for each in inside if each is not type(None))
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if isinstance(hint, type) and origin is None:
        made = _MADE.get(hint.__name__)
        return hint.__name__ + (f" ({made})" if made else "")
    return getattr(origin, "__name__", str(hint))


def _shown(value: object) -> str:
    """A value and its type, in one line."""
    text = repr(value)
    short = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
    return f"{short} ({type(value).__name__})"
