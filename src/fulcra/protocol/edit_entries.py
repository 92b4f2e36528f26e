"""An edit as files hold it, and back."""

from typing import Annotated, Literal, Self

import torch
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    model_validator,
)

from fulcra.models.edits import require_numbers
from fulcra.protocol.results.base import Value
from fulcra.types import Anchor, Direction, Edit, Neuron, Positions

Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
#: The ops of edits. pydantic names one in a fault's place; there it is no key of the file.
OPS = frozenset(("add", "scale", "pin", "anchor", "add_vector", "add_mlp", "ablate_direction"))


class NeuronEntry(Value):
    """An edit of one neuron as a file holds it; `k` and `gap` are an anchor's."""

    op: Literal["add", "scale", "pin", "anchor"]
    neuron: Text
    value: Number
    gain: Number | None = None
    positions: Positions = "all"
    k: Number | None = None
    gap: Number | None = None

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        there = [name for name in ("k", "gap") if getattr(self, name) is not None]
        if there != (["k", "gap"] if self.op == "anchor" else []):
            raise ValueError(
                f"needs k and gap with op anchor and with no other, found op {self.op} with"
                f" {' and '.join(there) or 'neither'}"
            )
        return self

    @property
    def edit(self) -> Edit:
        """The edit; InputError for a name or a dose that cannot be meant."""
        tied = None if self.k is None or self.gap is None else Anchor(self.k, self.gap)
        neuron = Neuron.parse(self.neuron)
        return require_numbers(Edit(neuron, self.op, self.value, self.gain, self.positions, tied))


class VectorEntry(Value):
    """An edit along one direction of the residual stream as a file holds it."""

    op: Literal["add_vector", "add_mlp", "ablate_direction"]
    layer: Annotated[int, Field(ge=0)]
    name: Text
    vector: Annotated[tuple[Number, ...], Field(min_length=1)]
    value: Number
    gain: Number | None = None
    positions: Positions = "all"

    @property
    def edit(self) -> Edit:
        """The edit, its vector in float32."""
        site = Direction(self.layer, self.name, torch.tensor(self.vector))
        return Edit(site, self.op, self.value, self.gain, self.positions)


def edit_entry(edit: Edit) -> dict[str, object]:
    """An edit as the file holds it."""
    dose = {"value": edit.value, "gain": edit.gain, "positions": edit.positions}
    if isinstance(edit.site, Direction):
        site, vector = edit.site, edit.site.vector.tolist()
        return {"op": edit.op, "layer": site.layer, "name": site.name, "vector": vector, **dose}
    tied = {} if edit.anchor is None else {"k": edit.anchor.k, "gap": edit.anchor.gap}
    return {"op": edit.op, "neuron": str(edit.site), **dose, **tied}


def _written(edit: object) -> object:
    return edit_entry(edit) if isinstance(edit, Edit) else edit


def _read(entry: NeuronEntry | VectorEntry) -> Edit:
    return entry.edit


_ENTRY = Annotated[
    Annotated[NeuronEntry | VectorEntry, Field(discriminator="op")],
    BeforeValidator(_written),
    AfterValidator(_read),
    PlainSerializer(edit_entry),
]
#: An edit in a recipe; in its file the entry that makes it.
FiledEdit = Annotated[
    Edit, GetPydanticSchema(lambda source, handler: handler.generate_schema(_ENTRY))
]
