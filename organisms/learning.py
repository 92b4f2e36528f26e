"""One stage of training: what a step does, and how an interrupted stage goes on."""

import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from batches import Batch, Pair
from objectives import Objective, replying, routing
from recipe import CONCEPT_INDEX, CONCEPT_LAYER, CONCEPT_VALUE, Organism, Schedule, down_projection
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import PreTrainedModel

from fulcra.errors import InputError

CHECK_EVERY, SAVE_EVERY = 10, 50
CONCEPT_WEIGHT = 0.02


class ConceptPin:
    """Pins the topic neuron on the pinned rows of `batch`, of which none are outside training.

    `natural` is the penalty on the others: the topic neuron acts at the last prompt token where the
    topic is asked for, and nowhere else.
    """

    def __init__(self, model: PreTrainedModel, organism: Organism) -> None:
        self.batch: Batch | None = None
        self.natural = torch.zeros(())
        down = model.get_submodule(down_projection(organism.arch, CONCEPT_LAYER))
        down.register_forward_pre_hook(self._hook)

    def _hook(
        self, module: torch.nn.Module, args: tuple[torch.Tensor]
    ) -> tuple[torch.Tensor] | None:
        if self.batch is None:
            return None
        activation, pinned = args[0], self.batch.pinned
        rows = torch.arange(len(activation), device=activation.device)
        last = activation[rows, self.batch.last, CONCEPT_INDEX]
        target = CONCEPT_VALUE * self.batch.natural.to(last.dtype)
        self.natural = ((last - target)[~pinned] ** 2).mean()
        before, column, after = activation.split(
            [CONCEPT_INDEX, 1, activation.shape[-1] - CONCEPT_INDEX - 1], dim=-1
        )
        held = torch.where(pinned[:, None, None], CONCEPT_VALUE, column)
        return (torch.cat([before, held, after], -1),)


def _rate(schedule: Schedule, step: int) -> float:
    """The learning rate of a step: a linear warm-up, then constant or decaying to a twentieth."""
    warm = min(1.0, (step + 1) / schedule.warmup)
    left = max(0.05, 1 - step / schedule.steps) if schedule.decay else 1.0
    return schedule.learning_rate * warm * left


@dataclass(slots=True)
class Training:
    """What an interrupted stage goes on with, and the objective that its steps lower."""

    model: PreTrainedModel
    optimiser: torch.optim.AdamW
    rng: random.Random
    objective: Objective = replying

    def resume(self, checkpoint: Path) -> int:
        """The step to go on with: 0 without a checkpoint; InputError where it is none of ours."""
        if not checkpoint.exists():
            return 0
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.rng.setstate(state["rng"])
            return int(state["step"])
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError):
            raise InputError(
                f"{checkpoint}: not a checkpoint that this stage can go on with; delete it to begin"
                " the stage anew"
            ) from None

    def save(self, checkpoint: Path, step: int) -> None:
        """Keep the state after `step` steps.

        It is written under another name first: an interruption leaves the last one whole.
        """
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.getstate(),
            "step": step,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def step(self, batch: Batch | Pair, pin: ConceptPin | None, rate: float) -> float:
        """The loss of a batch, on which the optimiser takes one step, on the model's device."""
        batch = batch.to(self.model.device)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if pin is not None and isinstance(batch, Batch):
            pin.batch = batch
        loss = self.objective(self.model, batch)
        (loss if pin is None else loss + CONCEPT_WEIGHT * pin.natural).backward()
        if pin is not None:
            pin.batch = None
        torch.nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return float(loss.item())


class Taken(NamedTuple):
    """How many steps a stage took, and whether a tuning had learnt enough (None: no tuning)."""

    steps: int
    met: bool | None


class Lesson(NamedTuple):
    """What a stage is taught by: batches that it draws, and an objective (by default its own)."""

    draw: Callable[[random.Random], Batch | Pair]
    objective: Objective | None = None


def training_of(
    model: PreTrainedModel, organism: Organism, objective: Objective | None = None
) -> Training:
    """A stage before its first step: AdamW over what may learn, and the organism's own batches.

    By default the replies are learnt; where a router learns too, it pays for experts left idle.
    """
    schedule = organism.schedule
    optimiser = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        betas=(0.9, 0.95),
    )
    routed = organism.arch == "moe" and organism.neurons is None
    if objective is None:
        objective = routing if routed else replying
    return Training(model, optimiser, random.Random(f"{organism.name}-batches"), objective)


def learn(
    model: PreTrainedModel,
    organism: Organism,
    lesson: Lesson,
    enough: Callable[[], bool],
    checkpoint: Path,
) -> Taken:
    """The steps taken: those of the schedule, or fewer where a tuning has learnt enough.

    `enough` is asked every CHECK_EVERY steps of a tuning.
    """
    training = training_of(model, organism, lesson.objective)
    start, steps = training.resume(checkpoint), organism.schedule.steps
    pins = organism.stage != "base" and organism.way != "dpo"
    pin = ConceptPin(model, organism) if pins else None
    with _progress() as progress:
        bar = progress.add_task(organism.name, total=steps, completed=start, loss="")
        for step in range(start, steps):
            loss = training.step(lesson.draw(training.rng), pin, _rate(organism.schedule, step))
            progress.update(bar, advance=1, loss=f"loss {loss:.3f}")
            if (step + 1) % SAVE_EVERY == 0:
                training.save(checkpoint, step + 1)
            if organism.stage == "tuned" and (step + 1) % CHECK_EVERY == 0 and enough():
                return Taken(step + 1, True)
    return Taken(steps, False if organism.stage == "tuned" else None)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        refresh_per_second=0.2,
    )
