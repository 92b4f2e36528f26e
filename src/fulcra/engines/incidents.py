"""What a run meets and goes on from, told where it happens to whoever listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Halved(NamedTuple):
    """A batch of so many rows ran out of memory, and went on in two halves."""

    rows: int


class NotFinite(NamedTuple):
    """Of `of` rollouts of one part of a run, `rows` met numbers that are not finite.

    `first` is the lowest neuron where the first of them did, None where none did; `edits` those it
    ran under.
    """

    part: str
    rows: int
    of: int
    first: str | None
    edits: str


class Lost(NamedTuple):
    """A replica of a cluster died under a shard, which ran again; `place` is its machine."""

    place: str


Incident = Halved | NotFinite | Lost
Listener = Callable[[Incident], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """A block whose incidents are told to `listener`."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(incident: Incident) -> None:
    """Tell whoever listens; nobody does outside of a study."""
    if (listener := _LISTENER.get()) is not None:
        listener(incident)
