"""Running edits, those of one kind at one place together, and the state of their pass."""

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from fulcra.types import Edit, Positions


@dataclass(slots=True)
class Group:
    """Edits of one kind at one place; `rows` [n] of the batch they act on, None for every row."""

    rows: Tensor | None

    def select(self, place: Tensor) -> None:
        """The edits whose row has a place [row] (-1: none) in a new batch, moved there."""
        if self.rows is None:
            return
        moved = place.to(self.rows.device)[self.rows]
        for part in fields(self):
            if isinstance(values := getattr(self, part.name), Tensor):
                setattr(self, part.name, values[moved >= 0])
        self.rows = moved[moved >= 0]

    @property
    def idle(self) -> bool:
        """Whether no row is left to act on."""
        return self.rows is not None and not len(self.rows)


@dataclass(slots=True)
class Affine(Group):
    """h <- factor * h + shift on (row, index) pairs of one layer.

    On every row the shift may be [row, 1, n].
    """

    index: Tensor
    factor: Tensor
    shift: Tensor


@dataclass(slots=True)
class ExpertAffine(Group):
    """The same in the experts of one layer, on the tokens routed to `expert` [n].

    `reads` where an activation must be known.
    """

    expert: Tensor
    index: Tensor
    factor: Tensor
    shift: Tensor
    reads: bool


@dataclass(slots=True)
class Vectors(Group):
    """x <- x + vector, or x without the unit vector, on rows of what one module writes.

    vectors [n, d_model].
    """

    vectors: Tensor


@dataclass(slots=True)
class Anchored:
    """The anchors of a group, at `places` of its edits, sized by each prompt before it is dosed."""

    group: Affine | ExpertAffine
    places: list[int]
    edits: list[Edit]

    def size(self, values: Tensor) -> None:
        """Pins at `values` [row, anchor], those of the present prompts."""
        group, shift = self.group, self.group.shift
        if group.rows is not None:
            place = torch.tensor(self.places, device=shift.device)
            shift[place] = values.to(shift)[
                group.rows[place].to(values.device), range(len(self.places))
            ]
            return
        flat = shift.reshape(-1, shift.shape[-1])[:1].repeat(len(values), 1)
        flat[:, self.places] = values.to(shift)
        group.shift = flat[:, None]


@dataclass(slots=True)
class Applied:
    """A running set of edits: the pass's phase and rows, and how many edited passes there were.

    While it is `asleep` no edit acts: the model is read as it is. Anchors are `sized` once a prompt
    has been read.
    """

    phase: str = "prompt"
    passes: int = 0
    rows: int = 0
    groups: list[Group] = field(default_factory=list)
    anchors: list[Anchored] = field(default_factory=list)
    asleep: bool = False
    sized: bool = False

    def select(self, staying: Tensor, rows: int) -> None:
        """The batch goes on with the rows at `staying` of its `rows` rows, in that order."""
        place = staying.new_full((rows,), -1)
        place[staying] = torch.arange(len(staying), device=staying.device)
        for group in self.groups:
            group.select(place)

    def acts(self, group: Group, positions: Positions) -> bool:
        """Whether a group at `positions` acts in the present pass."""
        here = positions == "all" or (positions in ("prompt", "last")) == (self.phase == "prompt")
        return here and not self.asleep and not group.idle
