"""Doses a monitor is tried with: branches of an audit or random ones, whole, spread or partial."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from fulcra.engines.generic import continue_openings
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import budgets, coordinate, moves
from fulcra.protocol.quotes import audited_behavior
from fulcra.protocol.results.audit import AuditResult
from fulcra.screens.candidates import can_move, movable
from fulcra.types import Behavior, Edit, Neuron

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

    def spread(
        self, neuron: Neuron, gain: float, count: int, layers: Iterable[int] | None = None
    ) -> tuple[Edit, ...] | None:
        """The dose parted among `count` neurons of unlike writes, gain / sqrt(count) each.

        Of `layers`, by default the neuron's own: there nearly orthogonal writes move the stream as
        far as the dose of one, and no single one as far as they do together. None where that is
        beyond the cap of one of them, or where fewer neurons move the stream.
        """
        chosen = self.unlike(neuron, count, [neuron.layer] if layers is None else layers)
        edits = []
        for each in chosen:
            if (edit := self.dose(each, gain / math.sqrt(count))) is None:
                return None
            edits.append(edit)
        return tuple(edits) if len(edits) == count else None

    def unlike(self, neuron: Neuron, count: int, layers: Iterable[int]) -> tuple[Neuron, ...]:
        """The neuron and others of `layers`, each the one least alike to all that come before it.

        By the largest |cosine| of writes with those; on the pole that turns the stream no other way
        than the neuron. At most `count`, only those whose dose moves the stream. Cost: `count` - 1
        products with every write of the layers.
        """
        finite = budgets(self.model, self.clean).isfinite()
        widths = {layer: self.model.width(layer) for layer in layers}
        nearest = {i: torch.where(finite[i, :n], 0.0, torch.inf) for i, n in widths.items()}
        place, chosen = (neuron.layer, self.model.slot(neuron)), [neuron]
        first = latest = self._unit_writes(neuron.layer)[place[1]] * neuron.pole
        while len(chosen) < count:
            if place[0] in nearest:
                nearest[place[0]][place[1]] = torch.inf
            for layer, near in nearest.items():
                torch.maximum(near, (self._unit_writes(layer) @ latest).abs(), out=near)
            layer = min(nearest, key=lambda each: float(nearest[each].min()))
            place = layer, int(nearest[layer].argmin())
            if not math.isfinite(float(nearest[layer][place[1]])):
                break
            latest = self._unit_writes(layer)[place[1]]
            chosen.append(self.model.neuron(*place, 1 if float(latest @ first) >= 0 else -1))
        return tuple(chosen)

    def _unit_writes(self, layer: int) -> torch.Tensor:
        """The writes of a layer's neurons as later blocks read them, of length 1, on the CPU."""
        return torch.nn.functional.normalize(moves(self.model, layer).cpu(), dim=-1)

    def alpha(self, neuron: Neuron, gain: float) -> float:
        """The signed size of a dose of `gain` budgets [activation units]."""
        return coordinate(self.model, self.clean, neuron).alpha(gain) * neuron.pole


def attacked(
    doser: Doser, opening: Sequence[Attacked], count: int, seed: int
) -> tuple[Attacked, ...]:
    """`count` neurons, none twice: those that an audit saw open, in their order, then random ones.

    Only those whose dose moves the stream. InputError where there are fewer.
    """
    model, clean, draw = doser.model, doser.clean, random.Random(seed)
    if count > (most := len(movable(model, clean))):
        raise InputError(
            f"monitor: {count} neurons to dose, and {model.name} has {most} whose dose moves the"
            " stream; ask for fewer"
        )
    chosen = [each for each in opening if can_move(model, clean, each.neuron)][:count]
    sites = {each.neuron.site for each in chosen}
    while len(chosen) < count:
        layer = draw.randrange(model.n_layers)
        neuron = model.neuron(layer, draw.randrange(model.width(layer)), draw.choice((1, -1)))
        if neuron.site not in sites and can_move(model, clean, neuron):
            sites.add(neuron.site)
            chosen.append(Attacked(neuron, "random"))
    return tuple(chosen)


def opened_in(
    model: Model, audit: Path | None, behavior: Behavior | None = None
) -> tuple[Attacked, ...]:
    """The neurons that a finished audit saw open, smallest gain first; none without an audit.

    InputError where the audit is of another model, or of another behavior than is named.
    """
    if audit is None:
        return ()
    result = AuditResult.load(audit)
    if result.model.sha256 != model.sha256:
        raise InputError(
            f"--run {audit}: an audit of {result.model.name} with weights"
            f" {result.model.sha256[:12]}, {model.name} has {model.sha256[:12]}; name a run of it"
        )
    if behavior is not None and audited_behavior(result, behavior) is None:
        raise InputError(
            f"--run {audit}: an audit of the behavior {result.behavior.name}, and --behavior is"
            f" {behavior.name} or has other prompts; name a run of that one"
        )
    opened = [
        Attacked(branch.branch, "audit", branch.smallest_open_gain)
        for branch in result.branches
        if branch.smallest_open_gain is not None and branch.kind == "neuron"
    ]
    return tuple(sorted(opened, key=lambda each: each.opens or 0.0))
