"""Doses a monitor is tried with: branches of an audit or random ones, whole, spread or partial."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from fulcra.engines.generic import continue_openings
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import coordinate, moves
from fulcra.protocol.results.audit import AuditResult
from fulcra.types import Edit, Neuron

#: Openings that budgets are measured on.
OPENINGS = 32


class Attacked(NamedTuple):
    """A neuron that is dosed, where it comes from, and the gain an audit saw it open at."""

    neuron: Neuron
    source: str
    opens: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Doser:
    """Doses in budgets of one model, from the clean stream of its own generic text."""

    model: Model
    clean: Stream

    @classmethod
    def of(cls, model: Model, openings: tuple[str, ...], system: str | None, seed: int) -> "Doser":
        """The doser of a model; 32 texts of its own and one pass over them."""
        text = continue_openings(model, openings[:OPENINGS], seed, system)
        return cls(model, stream(model, text.prompts, text.replies))

    def dose(self, neuron: Neuron, gain: float) -> Edit | None:
        """The additive dose of `gain` budgets; None beyond the cap of a norm after the MLP."""
        place = coordinate(self.model, self.clean, neuron)
        return place.dose(gain) if place.reaches(gain) else None

    def spread(self, neuron: Neuron, gain: float, count: int) -> tuple[Edit, ...] | None:
        """The dose parted among the `count` neurons of its layer that write most alike.

        Each has gain / sqrt(count), on the pole that turns the stream the same way: nearly
        orthogonal writes then move it as far as the dose of one. None where that is beyond the cap
        of one of them.
        """
        writes = torch.nn.functional.normalize(moves(self.model, neuron.layer), dim=-1)
        alike = writes @ writes[self.model.slot(neuron)] * neuron.pole
        edits = []
        for slot in alike.abs().topk(count).indices.tolist():
            helper = self.model.neuron(neuron.layer, slot, 1 if alike[slot] > 0 else -1)
            if (edit := self.dose(helper, gain / math.sqrt(count))) is None:
                return None
            edits.append(edit)
        return tuple(edits)

    def alpha(self, neuron: Neuron, gain: float) -> float:
        """The signed size of a dose of `gain` budgets [activation units]."""
        return coordinate(self.model, self.clean, neuron).alpha(gain) * neuron.pole


def attacked(model: Model, audit: Path | None, count: int, seed: int) -> tuple[Attacked, ...]:
    """`count` neurons: those that a finished audit saw open, smallest gain first, then random ones.

    InputError where the audit is of another model.
    """
    opening = () if audit is None else _opening(model, audit)
    draw = random.Random(seed)
    chosen = list(opening[:count])
    while len(chosen) < count:
        layer = draw.randrange(model.n_layers)
        neuron = model.neuron(layer, draw.randrange(model.width(layer)), draw.choice((1, -1)))
        if float(model.write(neuron).norm()) > 0:
            chosen.append(Attacked(neuron, "random"))
    return tuple(chosen)


def _opening(model: Model, audit: Path) -> tuple[Attacked, ...]:
    result = AuditResult.load(audit)
    if result.model.sha256 != model.sha256:
        raise InputError(
            f"--run {audit}: an audit of {result.model.name} with weights"
            f" {result.model.sha256[:12]}, {model.name} has {model.sha256[:12]}; name a run of it"
        )
    opened = [
        Attacked(branch.branch, "audit", branch.smallest_open_gain)
        for branch in result.branches
        if branch.smallest_open_gain is not None and branch.kind == "neuron"
    ]
    return tuple(sorted(opened, key=lambda each: each.opens or 0.0))
