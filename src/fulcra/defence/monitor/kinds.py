"""Kinds of requests that clean traffic may drift to, for trials of a monitor."""

from collections.abc import Collection, Iterator

from fulcra.behaviors import load_behavior
from fulcra.behaviors.builtin import BUILDERS
from fulcra.behaviors.domains import GERMAN, LONG_TOKENS, SUMS
from fulcra.defence.monitor.traffic import KINDS, WINDOW, Traffic, parted
from fulcra.models import Model, world_of
from fulcra.types import Behavior


def kinds_for(
    model: Model, behavior: Behavior | None, own: Collection[str] = ()
) -> Iterator[tuple[str, Traffic]]:
    """Requests by the name of their kind: of an organism the other tasks of its world.

    Else those of the kinds that a calibration has, on openings that it has not, and of two that it
    has not at all. Openings of the calibration, `own`, are in none; a kind without others is left
    out.
    """
    for name, traffic in _kinds(model, behavior):
        openings = tuple(text for text in traffic.openings if text not in own)
        if openings:
            yield name, traffic._replace(openings=openings)


def _kinds(model: Model, behavior: Behavior | None) -> Iterator[tuple[str, Traffic]]:
    """Every kind with all its openings."""
    if behavior is None or behavior.name.partition("@")[0] not in BUILDERS:
        for name, kind in KINDS.items():
            tokens = LONG_TOKENS if name == "long text" else WINDOW
            yield name, Traffic(parted(kind).trial, tokens=tokens)
        yield "German, of no calibration", Traffic(GERMAN)
        yield "sums, of no calibration", Traffic(SUMS)
        return
    for name in BUILDERS:
        if name != behavior.name.partition("@")[0]:
            task = load_behavior(name, world_of(model.name))
            texts = [prompt.text for prompt in (*task.positive, *task.negative)]
            yield name, Traffic(tuple(dict.fromkeys(texts)), task.system)
