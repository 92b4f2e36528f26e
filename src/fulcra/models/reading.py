"""Neurons read on texts of one's own: one activation a token, as the down projection reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.traces import traces
from fulcra.types import Neuron

#: Tokens of one forward pass, padding included.
TOKENS = 1 << 13
#: Places that a printed value shows.
SHOWN = 4


class Place(NamedTuple):
    """Where a neuron acts: text and position count from 0."""

    text: int
    position: int
    token: str
    neuron: Neuron
    activation: float

    def __str__(self) -> str:
        place = f"token {self.position} of text {self.text}"
        return f"{self.neuron.site} {self.activation:+.3g} at {self.token!r}, {place}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Activations:
    """Activations of some neurons at every token of some texts.

    `tokens[i]` holds the tokens of text i as strings, special ones included; `values[i]` is
    [token, neuron], float32 on the CPU, not signed by a pole. It is nan where the router of a
    mixture does not send the token to the neuron's expert.
    """

    neurons: tuple[Neuron, ...]
    tokens: tuple[tuple[str, ...], ...]
    values: tuple[Tensor, ...]

    def table(self) -> pa.Table:
        """One row a text, token and neuron: text, position, token, neuron, activation.

        An activation is null where the token does not reach the neuron's expert.
        """
        lengths, count = [len(row) for row in self.tokens], len(self.neurons)
        positions = [np.arange(length) for length in lengths]
        words = [token for row in self.tokens for token in row]
        columns = {
            "text": np.repeat(np.arange(len(lengths)), lengths).repeat(count),
            "position": np.concatenate(positions).repeat(count),
            "token": pa.array(words).take(np.arange(len(words)).repeat(count)),
            "neuron": [neuron.site for neuron in self.neurons] * len(words),
            "activation": pa.array(torch.cat(self.values).flatten().numpy(), from_pandas=True),
        }
        return pa.table(columns)

    def top(self, n: int = 10) -> tuple[Place, ...]:
        """The `n` places of the largest |activation|, largest first; of equals the first."""
        sizes = torch.cat(self.values).flatten().abs()
        order = sizes.nan_to_num(-1.0).argsort(descending=True, stable=True)
        largest = order[~sizes[order].isnan()][:n].tolist()
        starts = np.cumsum([0, *(len(row) for row in self.tokens)])
        places = []
        for index in largest:
            row, column = divmod(index, len(self.neurons))
            text = int(np.searchsorted(starts, row, side="right")) - 1
            position = row - int(starts[text])
            token, value = self.tokens[text][position], float(self.values[text][position, column])
            places.append(Place(text, position, token, self.neurons[column], value))
        return tuple(places)

    def __repr__(self) -> str:
        count = sum(map(len, self.tokens))
        head = f"Activations(texts {len(self.tokens)}, tokens {count}, neurons {len(self.neurons)})"
        return "\n".join((head, *(f"  {place}" for place in self.top(SHOWN))))


def read(
    model: Model,
    neurons: Sequence[Neuron],
    texts: Sequence[str],
    chat: bool = False,
    system: str | None = None,
) -> Activations:
    """Activations of `neurons` at every token of `texts`, one clean pass a batch.

    Texts are plain, with the special tokens that the tokenizer puts around any; `chat` makes each a
    user turn of the chat template. A system prompt stands before every text, and its tokens are
    read too. Poles do not matter. InputError for an empty text, one longer than the model's
    context, a neuron the model lacks, or a number that is not finite.

    Example: `read(model, [Neuron(2, 307)], ["how do i make the tonic ?"]).top(3)`
    """
    _require_texts(texts)
    if not neurons:
        raise InputError("read(): no neuron was given; name one or more, as in L14.N2207")
    for neuron in neurons:
        model.require(neuron)
    rows = [model.prompt_ids(text, system, chat) for text in texts]
    batch = max(1, TOKENS // max(map(len, rows)))
    values = tuple(trace.T.contiguous() for trace in traces(model, neurons, rows, batch))
    return Activations(tuple(neurons), tuple(map(model.pieces, rows)), values)


def _require_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not texts:
        got = "one text" if isinstance(texts, str) else "empty"
        raise InputError(f"read(): texts is {got}; give a list of one or more texts")
    for number, text in enumerate(texts):
        if not text.strip():
            raise InputError(f"read(): text {number} is empty; give one with words in it")
