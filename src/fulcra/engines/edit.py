"""Edits for a user's own generate call, with gains resolved by budgets on bundled text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import isnan
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.engine import Setting, token_identity
from fulcra.engines.generic import continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import Applied, Model, applied_rows
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import coordinate
from fulcra.types import Branch, Edit

#: Streams of a model by what the tokens of their text depend on.
Streams = dict[frozenset[tuple[str, Setting]], Stream]
_STREAMS: "WeakKeyDictionary[PreTrainedModel, Streams]" = WeakKeyDictionary()


def clean_stream(model: Model) -> Stream:
    """The model's residual statistics on the bundled generic text.

    Cost: 32 rollouts and one pass, once a model; for an engine of its own tokens once more.
    """
    streams = _STREAMS.setdefault(model.hf, {})
    engine = frozenset(token_identity(model).items())
    if engine not in streams:
        text = continue_openings(model, OPENINGS[:32], seed=0)
        streams[engine] = stream(model, text.prompts, text.replies)
    return streams[engine]


def branch_coordinate(model: Model, branch: Branch) -> Coordinate:
    """Budget and clean alignment of a branch on the bundled generic text."""
    return coordinate(model, clean_stream(model), branch)


def resolve(model: Model, edit: Edit) -> Edit:
    """The edit with its dose in activation units."""
    if edit.gain is None or not isnan(edit.value):
        return edit
    return replace(edit, value=branch_coordinate(model, edit.site).dose(edit.gain).value)


@contextmanager
def edit(model: Model, *edits: Edit) -> Iterator[Applied]:
    """Edits in force on every row while the block runs: `generate`, a pipeline or your own loop.

    Yields a counter of edited passes: 0 at the end means that the model never ran. Hooks are gone
    afterwards, also after an exception.
    """
    doses = tuple(resolve(model, item) for item in edits)
    with applied_rows(model, doses, every_row=True) as applied:
        yield applied
