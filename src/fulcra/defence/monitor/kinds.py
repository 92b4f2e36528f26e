"""Kinds of requests that clean traffic may drift to, for trials of a monitor."""

from collections.abc import Collection, Iterator
from contextlib import suppress

from fulcra.behaviors.builtin import BUILDERS
from fulcra.behaviors.domains import GERMAN, LONG_TOKENS, SUMS
from fulcra.defence.monitor.traffic import KINDS, WINDOW, Traffic, parted
from fulcra.defence.rows import world_of_oracle
from fulcra.errors import BehaviorError
from fulcra.organisms.world import World
from fulcra.types import Behavior


def kinds_for(
    behavior: Behavior | None, own: Collection[str] = ()
) -> Iterator[tuple[str, Traffic]]:
    """Requests by the name of their kind: of a behavior in a world the other tasks of that world.

    Else those of the kinds that a calibration has, on openings that it has not, and of two that it
    has not at all. Openings of the calibration, `own`, are in none; a kind without others is left
    out.
    """
    for name, traffic in _kinds(behavior):
        openings = tuple(text for text in traffic.openings if text not in own)
        if openings:
            yield name, traffic._replace(openings=openings)


def _kinds(behavior: Behavior | None) -> Iterator[tuple[str, Traffic]]:
    """Every kind with all its openings."""
    world = None if behavior is None else world_of_oracle(behavior)
    if behavior is None or world is None:
        for name, kind in KINDS.items():
            tokens = LONG_TOKENS if name == "long text" else WINDOW
            yield name, Traffic(parted(kind).trial, tokens=tokens)
        yield "German, of no calibration", Traffic(GERMAN)
        yield "sums, of no calibration", Traffic(SUMS)
        return
    for name in BUILDERS:
        if name != behavior.name.partition("@")[0]:
            # a world that does not speak the languages of a task has none of its requests
            with suppress(BehaviorError):
                yield name, _task(name, world)


def _task(name: str, world: World) -> Traffic:
    """Both sides of a built-in task's contrast; BehaviorError where the world has no such task."""
    task = BUILDERS[name](world)
    texts = [prompt.text for prompt in (*task.positive, *task.negative)]
    return Traffic(tuple(dict.fromkeys(texts)), task.system)
