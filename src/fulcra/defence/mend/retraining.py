"""The neuron retrained: its own read and write, a few steps under doses of its own."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fulcra.defence.mend.changes import Change, relative_norm
from fulcra.defence.mend.gates import Gate
from fulcra.defence.rows import Row, laps
from fulcra.defence.training import divergence
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.models import add
from fulcra.models.lora import Factors, Lora, adapted, named
from fulcra.models.neuron_rows import reading_modules
from fulcra.protocol.progress import Progress
from fulcra.protocol.subject import Subject
from fulcra.types import Edits, Neuron

#: Doses are drawn from this part of the smallest gain that opens, to this multiple of it.
BELOW, ABOVE = 0.7, 3.0
#: What a nat of undosed replies weighs beside one under doses; hardening has its own.
HOLDING = 10.0
#: Rows of a step: under a dose, undosed of the behavior, undosed of other text.
DOSED, OWN, OTHER = 8, 8, 16
#: A step of a number of the write, in parts of the write's root mean square.
STEP = 0.1


@dataclass(frozen=True, slots=True)
class Lessons:
    """Rows of a retraining: own replies, those that show the behavior dosed; others never."""

    own: Sequence[Row]
    other: Sequence[Row]

    @property
    def dosed(self) -> list[Row]:
        """The rows that carry doses."""
        return [row for row in self.own if row.shown]


def retrained(
    subject: Subject, gate: Gate, lessons: Lessons, steps: int, seed: int, bar: Progress
) -> Change:
    """The change of the neuron's rows and column after so many steps; the model is as it was.

    A dose is sized by the write as it is at that step, so a shorter write is no way out: the write
    must turn. InputError where nothing shows the behavior, or the loss is not finite.
    """
    if not lessons.dosed:
        raise InputError(
            f"behavior {subject.behavior.name}: {subject.model.name} shows it on no training"
            " prompt, so no row could carry a dose; leave out retrain"
        )
    model, layer = subject.model, gate.neuron.layer
    reads, place = reading_modules(model, layer), model.place(layer)
    write = model.write(gate.neuron)
    both = (gate.neuron, gate.neuron.opposite)
    doses = [subject.coordinate(branch) for branch in both if branch.pole in gate.poles]
    with adapted(model, 1, seed, named([place, *reads])) as lora:
        lora.put(_untrained(lora, place, gate.neuron))
        size = float(write.norm()) / len(write) ** 0.5
        optimizer = torch.optim.Adam(_trained(lora, place), lr=STEP * size)
        rng = random.Random(f"mend-{seed}")
        for step in range(steps):
            now = write + lora.factors()[place].write.float()
            longer = float(write.norm() / now.norm().clamp(min=1e-9))
            edits = [_dose(rng.choice(doses), gate, longer, rng) for _ in range(DOSED)]
            optimizer.param_groups[0]["lr"] = STEP * size * (1 - step / steps)
            _step(lora, optimizer, lessons, edits, rng)
            bar.advance(1)
        factors = {name: _on_cpu(each) for name, each in lora.factors().items()}
    return Change("retrain", factors, relative_norm(model, layer, factors))


def _untrained(lora: Lora, place: str, neuron: Neuron) -> dict[str, Factors]:
    """Factors that change nothing yet: one side is the neuron's place, the other zero."""
    out = {}
    for name, (write, read) in lora.factors().items():
        out[name] = Factors(torch.zeros_like(write), torch.zeros_like(read))
        side = out[name].read if name == place else out[name].write
        side[neuron.index] = 1.0
    return out


def _trained(lora: Lora, place: str) -> list[nn.Parameter]:
    """The side of every factor that is no place of the neuron; the other is not trained."""
    free = []
    for name in lora.layers:
        write, read = lora.sides(name)
        chosen, fixed = (write, read) if name == place else (read, write)
        fixed.requires_grad_(False)
        free.append(chosen)
    return free


def _dose(place: Coordinate, gate: Gate, longer: float, rng: random.Random) -> Edits:
    """A dose of the neuron about the gains that open it, sized by its write as it is now."""
    opens = gate.opens or 1.0
    gain = place.within(rng.uniform(BELOW * opens, ABOVE * opens))
    assert isinstance(place.branch, Neuron)
    return (add(place.branch, alpha=place.alpha(gain) * place.branch.pole * longer),)


def _step(
    lora: Lora,
    optimizer: torch.optim.Optimizer,
    lessons: Lessons,
    edits: Sequence[Edits],
    rng: random.Random,
) -> None:
    """One step: dosed rows and undosed ones, all held to what the original replies undosed."""
    dosed = laps(lessons.dosed, len(edits), rng)
    undosed = laps(lessons.own, OWN, rng) + laps(lessons.other, OTHER, rng)
    optimizer.zero_grad()
    loss = divergence(lora, dosed, edits) + HOLDING * divergence(lora, undosed)
    if not torch.isfinite(loss):
        raise InputError(
            f"retrain: the loss of {lora.model.name} is not finite; load it in float32"
        )
    loss.backward()
    optimizer.step()


def _on_cpu(factors: Factors) -> Factors:
    return Factors(factors.write.float().cpu(), factors.read.float().cpu())
