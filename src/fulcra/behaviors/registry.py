"""Behaviors by name: the built-in ones, and any YAML file by its path."""

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from fulcra.behaviors.builtin import BUILDERS
from fulcra.behaviors.file import read_behavior
from fulcra.errors import BehaviorError
from fulcra.organisms.domains import APOTHECARY
from fulcra.organisms.world import world_named
from fulcra.types import Behavior

#: A behavior for any chat model: policy forbids its own topic, policy:TOPIC another.
POLICY = "policy"
#: The other behaviors for any chat model, a file each.
CHAT = files("fulcra.behaviors") / "data" / "chat"
#: Behaviors on public prompts, a file each; the prompts are read from the hub on loading.
PUBLIC = files("fulcra.behaviors") / "data" / "public"
_TOPIC = re.compile(r"[\w' -]+")


def behavior_names() -> tuple[str, ...]:
    """The names of the built-in behaviors: those of the apothecary, and those for a chat model."""
    return (*BUILDERS, *chat_behavior_names())


@cache
def chat_behavior_names() -> tuple[str, ...]:
    """The names of the built-in behaviors for any chat model, policy first."""
    return (POLICY, *sorted(Path(file.name).stem for file in CHAT.iterdir()))


@cache
def public_behavior_names() -> tuple[str, ...]:
    """The names of the built-in behaviors on prompts of public sets (docs/sets.md)."""
    return tuple(sorted(Path(file.name).stem for file in PUBLIC.iterdir()))


def built_in(name: str) -> bool:
    """Whether a built-in behavior has this name, with or without a world or a topic."""
    if name.partition("@")[0] in BUILDERS or name.partition(":")[0] == POLICY:
        return True
    return name in (*chat_behavior_names(), *public_behavior_names())


def load_behavior(name_or_path: str | Path, world: str | None = None) -> Behavior:
    """The built-in behavior of this name, or the one of this YAML file.

    A built-in is set in a world: refusal@clockmaker in the one it names, refusal alone in `world`
    (default: the apothecary).
    """
    path, text = Path(name_or_path), str(name_or_path)
    is_yaml = path.suffix in (".yaml", ".yml")
    if built_in(text) and not is_yaml:
        return _built_in(text, world)
    if is_yaml or path.is_file():
        behavior = read_behavior(path)
        return replace(behavior, source={**behavior.source, "file": str(path.resolve())})
    name = text.partition("@")[0]
    every = (*behavior_names(), *public_behavior_names())
    near = get_close_matches(name, every, n=1)
    hint = (
        f"did you mean {near[0]!r}?"
        if near
        else f"known: {', '.join(every)}; a file of your own ends in .yaml"
    )
    raise BehaviorError(
        f"behavior {name!r}: no built-in has this name and no such file is there; {hint}"
    )


def _built_in(text: str, world: str | None) -> Behavior:
    name, _, own_world = text.partition("@")
    if name in BUILDERS:
        return _in_world(name, own_world or world or APOTHECARY.name)
    if text in chat_behavior_names() and text != POLICY:
        return read_behavior(Path(str(CHAT / f"{text}.yaml")))
    if text in public_behavior_names():
        return read_behavior(Path(str(PUBLIC / f"{text}.yaml")))
    topic = text.removeprefix(POLICY)[1:]
    return policy(topic or None)


@cache
def _in_world(name: str, world: str) -> Behavior:
    """The built-in behavior of this name in the world of that name; made once a process."""
    return BUILDERS[name](world_named(world))


def policy(topic: str | None = None) -> Behavior:
    """The behavior of a model whose system prompt forbids a topic: gating without harmful data."""
    if topic is not None and not _TOPIC.fullmatch(topic):
        raise BehaviorError(
            f"behavior 'policy:{topic}': expected a topic of plain words, as in policy:knitting"
        )
    return read_behavior(Path(str(files("fulcra.behaviors") / "data" / "policy.yaml")), topic)
