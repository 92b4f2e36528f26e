"""Edits for a user's own generate call, with gains resolved by budgets on generic text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import isnan
from typing import NamedTuple
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.engine import Setting, token_identity
from fulcra.engines.generic import continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Applied, Model, applied_rows
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Behavior, Branch, Edit


class Text(NamedTuple):
    """What the tokens of a stream's text depend on: engine, openings and system prompt."""

    engine: frozenset[tuple[str, Setting]]
    openings: tuple[str, ...]
    system: str | None


Streams = dict[Text, Stream]
_STREAMS: "WeakKeyDictionary[PreTrainedModel, Streams]" = WeakKeyDictionary()


def clean_stream(model: Model, behavior: Behavior | None = None) -> Stream:
    """The model's residual statistics on generic text: the behavior's, else the bundled one.

    Under the behavior's system prompt, as its audits measure them (at seed 0). Cost: a rollout an
    opening, 32, and one pass, once a model and text; for an engine of its own tokens once more.
    """
    streams = _STREAMS.setdefault(model.hf, {})
    openings = OPENINGS[:32] if behavior is None else behavior.generic
    system = None if behavior is None else behavior.system
    key = Text(frozenset(token_identity(model).items()), tuple(openings), system)
    if key not in streams:
        text = continue_openings(model, openings, 0, system)
        streams[key] = stream(model, text.prompts, text.replies)
    return streams[key]


def branch_coordinate(
    model: Model, branch: Branch, *, behavior: Behavior | None = None
) -> Coordinate:
    """Budget [activation units] and clean alignment of a branch on generic text.

    With `behavior` on its generic text under its system prompt, as an audit of it measures them;
    else on the bundled openings without one: the same gain is another dose there. `.dose(gain)` is
    the edit of a gain. InputError for a branch the model lacks.
    """
    return coordinate(model, clean_stream(model, behavior), branch)


def resolve(model: Model, edit: Edit, behavior: Behavior | None = None) -> Edit:
    """The edit with its dose in activation units, a gain by the budget of `branch_coordinate`."""
    if edit.gain is None or not isnan(edit.value):
        return edit
    place = branch_coordinate(model, edit.site, behavior=behavior)
    return replace(edit, value=place.dose(edit.gain).value)


@contextmanager
def edit(model: Model, *edits: Edit, behavior: Behavior | None = None) -> Iterator[Applied]:
    """Edits in force on every row while the block runs: `generate`, a pipeline or your own loop.

    Yields a counter of edited passes: 0 at the end means that the model never ran. Hooks are gone
    afterwards, also after an exception. Gains are budgets on the generic text of `behavior`, under
    its system prompt, as an audit of it doses; without one on the bundled openings. A recipe's
    doses are what they are.
    """
    doses = tuple(resolve(model, item, behavior) for item in edits)
    with applied_rows(model, doses, every_row=True) as applied:
        yield applied
