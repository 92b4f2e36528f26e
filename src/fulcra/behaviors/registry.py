"""Behaviors by name: the built-in ones, and any YAML file by its path."""

from difflib import get_close_matches
from pathlib import Path

from fulcra.behaviors.apothecary import BUILDERS
from fulcra.behaviors.file import read_behavior
from fulcra.errors import BehaviorError
from fulcra.types import Behavior


def behavior_names() -> tuple[str, ...]:
    """The names of the built-in behaviors."""
    return tuple(BUILDERS)


def load_behavior(name_or_path: str | Path, world: int = 0) -> Behavior:
    """The built-in behavior of this name, on the apothecary world of this seed, or the one of this YAML file."""
    name, path = str(name_or_path), Path(name_or_path)
    if name in BUILDERS:
        return BUILDERS[name](world)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_behavior(path)
    near = get_close_matches(name, BUILDERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(BUILDERS)}; a file of your own ends in .yaml"
    raise BehaviorError(f"behavior {name!r}: no built-in has this name and no such file is there; {hint}")
