"""Which lineages a back-test holds out, as the split file and validation.json hold it."""

from typing import Literal

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.store import digest


class Lineage(Value):
    """Models that share pretraining: whose ceilings are measured, and which windows by model."""

    name: str
    recipe: str
    world: str = "apothecary"
    ceilings: tuple[str, ...] = ()
    verdicts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    reference: str | None = None
    openings: Literal["world", "plain"] = "world"

    @property
    def models(self) -> tuple[str, ...]:
        """Every model the study measures here, once."""
        return tuple(dict.fromkeys([*self.ceilings, *self.verdicts]))


class Split(Value):
    """The lineages on which choices were made, and those that no choice was made on.

    `detector` and `stories` validate the coherence detector, `ladder` are the organisms of the
    ladder: both need no lineage.
    """

    development: tuple[Lineage, ...]
    held_out: tuple[Lineage, ...]
    detector: tuple[str, ...] = ()
    stories: tuple[str, ...] = ()
    ladder: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the study needs, once; organisms of the ladder may be missing."""
        names = [name for lineage in self.lineages for name in lineage.models]
        return tuple(dict.fromkeys([*names, *self.detector, *self.stories]))

    @property
    def sha256(self) -> str:
        """The hash printed before anything is measured."""
        return digest(self.model_dump())

    @property
    def lineages(self) -> tuple[Lineage, ...]:
        """All lineages of the study, those of development first."""
        return self.development + self.held_out

    def whole(self) -> "Split":
        """The same split with its defaults written out."""
        return Split.model_validate(self.model_dump())
