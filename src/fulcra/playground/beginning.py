"""Which behaviors a page offers: those named first, then the built-in ones that the model has."""

from collections.abc import Sequence

from fulcra.behaviors import behavior_names, behavior_sha256, chat_behavior_names, load_behavior
from fulcra.errors import InputError
from fulcra.models import world_of
from fulcra.organisms.planted import bundled_names
from fulcra.types import Behavior


def offered(model: str, named: Sequence[str]) -> list[Behavior]:
    """The behaviors of a page by name; InputError where two of one name are not the same.

    An organism knows the behaviors of its world, a chat model those for any chat model.
    """
    world, chat = world_of(model), chat_behavior_names()
    is_organism = world is not None or model in bundled_names()
    own = [name for name in behavior_names() if (name in chat) != is_organism]
    behaviors: dict[str, Behavior] = {}
    for name in (*named, *own):
        behavior = load_behavior(name, world)
        first = behaviors.setdefault(behavior.name, behavior)
        if name in named and behavior_sha256(first) != behavior_sha256(behavior):
            raise InputError(f"behavior {name!r}: another {behavior.name} is named; give one")
    return list(behaviors.values())
