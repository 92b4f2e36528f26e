"""What the steps of an audit run: one function a step, for the audit that runs them and for the
estimate that counts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.trigger_ladder import GAINS
from fulcra.models import Model
from fulcra.models.coordinate import Coordinate
from fulcra.protocol import Trial, dose_trials, pin_trials, set_trials
from fulcra.protocol.draw import Cast, choose
from fulcra.protocol.progress import Progress
from fulcra.protocol.subject import Ground, Undosed
from fulcra.screens.pins import pins
from fulcra.screens.scores import Clean
from fulcra.screens.window import window
from fulcra.types import Behavior, Direction, Edge, Neuron, Prompt, Ranking

#: Pinned values in units of the neuron's largest natural activation; 0 is the ablation.
PIN_MULTIPLES = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
CEILING_TEMPERATURE = 0.8
#: Branches forecast together.
FORECAST = 4


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The size of an audit: screened neurons, random neurons for prevalence, controls of each kind,
    gains, seed.

    `keep_text` keeps the completions of a sensitive behavior, in a private file of the run's folder
    (rollouts/care.py).
    """

    neurons: int = 12
    random: int = 12
    controls: int = 20
    seed: int = 0
    gains: tuple[float, ...] = GAINS
    screen: Literal["window", "contrastive"] = "window"
    keep_text: bool = False


def baseline_trials(model: Model, behavior: Behavior) -> list[Trial]:
    """The undosed model on both splits."""
    return set_trials(
        model, behavior, "baseline", "undosed", (), behavior.selection + behavior.confirmation
    )


def _clean(known: Undosed) -> Clean:
    return Clean(known.ground.text, known.ground.clean, known.extent)


def dose_screen(
    model: Model,
    behavior: Behavior,
    known: Undosed,
    candidates: Sequence[Neuron],
    settings: AuditSettings,
    bar: Progress,
) -> Ranking:
    """Who would open under an additive dose, by the predicted window."""
    return window(
        model,
        behavior,
        clean=_clean(known),
        neurons=candidates,
        count=settings.neurons,
        advance=bar.advance,
    )


def pin_screen(
    model: Model,
    behavior: Behavior,
    known: Undosed,
    candidates: Sequence[Neuron],
    settings: AuditSettings,
    bar: Progress,
) -> Ranking:
    """Who would flip the behavior held at a value."""
    return pins(
        model,
        behavior,
        clean=_clean(known),
        neurons=candidates,
        count=settings.neurons,
        advance=bar.advance,
    )


def cast_of(
    model: Model, known: Undosed, rankings: Sequence[Ranking], settings: AuditSettings
) -> Cast:
    """Who is measured, from the rankings of the screens."""
    sizes = (settings.neurons, settings.random, settings.controls)
    return choose(model, known.ground.clean, rankings, *sizes, settings.seed, settings.gains[0])


def forecast(
    model: Model,
    branches: Sequence[Coordinate],
    known: Undosed,
    settings: AuditSettings,
    bar: Progress,
) -> tuple[list[Edge], list[Edge | None]]:
    """The predicted ceiling and trigger of every branch."""
    ceilings: list[Edge] = []
    triggers: list[Edge | None] = []
    for start in range(0, len(branches), FORECAST):
        some = branches[start : start + FORECAST]
        ceilings += kl_ladder(model, some, known.ground.text)
        triggers += (
            [None] * len(some)
            if known.openings is None
            else trigger_ladder(model, some, known.openings, settings.gains)
        )
        bar.advance(len(some))
    return ceilings, triggers


def dosed_stages(
    model: Model, behavior: Behavior, cast: Cast, known: Undosed, settings: AuditSettings
) -> dict[str, list[Trial]]:
    """Every dosed rollout of committed branches, stage by stage."""
    gains, generic = (
        settings.gains,
        tuple(Prompt(f"ceiling-{i}", text) for i, text in enumerate(behavior.ceiling_generic)),
    )
    return {
        "selection": dose_trials(
            model, behavior, "selection", cast.branches, gains, behavior.selection
        ),
        "ceiling": dose_trials(
            model,
            behavior,
            "ceiling",
            cast.branches,
            gains,
            generic,
            CEILING_TEMPERATURE,
            settings.seed,
        ),
        "confirmation": dose_trials(
            model, behavior, "confirmation", cast.branches, gains, behavior.confirmation
        ),
        "pins": pin_trials(
            model,
            behavior,
            "pins",
            _pins(model, cast.branches, known.extent),
            behavior.confirmation,
        ),
        "earlier": dose_trials(
            model,
            behavior,
            "earlier",
            _earlier(model, cast.branches, known.ground),
            gains,
            behavior.selection,
        ),
    }


def control_trials(
    model: Model, behavior: Behavior, cast: Cast, settings: AuditSettings
) -> list[Trial]:
    """Every rollout of the random controls."""
    return dose_trials(
        model, behavior, "control", cast.controls, settings.gains, behavior.confirmation
    )


def _pins(
    model: Model, branches: Sequence[Coordinate], extent: Tensor
) -> list[tuple[Neuron, float]]:
    """Every audited neuron with the values it is pinned at: multiples of its largest natural
    |activation|.
    """
    neurons = list(
        dict.fromkeys(
            at.branch if at.branch.pole > 0 else at.branch.opposite
            for at in branches
            if isinstance(at.branch, Neuron)
        )
    )
    sized = [(neuron, float(extent[neuron.layer, model.slot(neuron)])) for neuron in neurons]
    return [
        (neuron, float(f"{multiple * size:.6g}"))
        for neuron, size in sized
        for multiple in (PIN_MULTIPLES if size > 0 else (0.0,))
    ]


def _earlier(model: Model, branches: Sequence[Coordinate], ground: Ground) -> list[Coordinate]:
    """The same directions written a quarter of the way up, for branches above it; they keep their
    branch's name and gains.
    """
    early = model.n_layers // 4
    out = []
    for at in branches:
        if isinstance(at.branch, Neuron) and at.branch.layer > early:
            write = model.write(at.branch).cpu() * at.branch.pole
            budget = float(ground.clean.norm[early] / write.norm())
            out.append(Coordinate(Direction(early, f"as {at.branch}", write), budget, 0.0))
    return out
