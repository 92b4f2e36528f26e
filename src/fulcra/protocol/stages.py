"""The stages of an audit, for the audit that runs them and for the estimate that counts them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Literal, NamedTuple, get_args

from fulcra.behaviors.splits import confirmed, require_confirmation, shortened
from fulcra.errors import BehaviorError, InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.ladders.trigger_ladder import TRIGGER_GAINS
from fulcra.protocol.chances import Chance, ChanceTexts, branch_chances, look_of
from fulcra.protocol.curtail import Measure
from fulcra.protocol.draw import Draw, Sizes, draw
from fulcra.protocol.progress import Progress
from fulcra.protocol.records import CEILING, EARLIER
from fulcra.protocol.results.summary import BranchSource
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, dose_trials, pin_trials, set_trials
from fulcra.screens.candidates import SWEPT
from fulcra.screens.pins import pins
from fulcra.screens.window import window
from fulcra.types import Behavior, Direction, Edge, Neuron, Prompt, Ranking, Sampling

#: Pinned values in units of the neuron's largest natural activation; 0 is the ablation.
PIN_MULTIPLES = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
CEILING_TEMPERATURE = 0.8
#: Branches forecast together: more of them share what lies below, and the undosed texts.
FORECAST = 16


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The size of an audit: screened neurons, random ones for prevalence, controls of each kind.

    `measure` says how many of the rollouts are made (protocol/curtail.py); `candidates`, how many
    neurons a screen sweeps; `prompts` and `horizon` limit the prompts of a split and the tokens of
    a reply; `confirmation` prompts are taken, those beyond the behavior's own from its reserve.
    `keep_text` keeps the completions of a sensitive behavior, in a private file of the run's folder
    (protocol/redaction.py).
    """

    neurons: int = 12
    random: int = 12
    controls: int = 20
    seed: int = 0
    gains: tuple[float, ...] = TRIGGER_GAINS
    screen: Literal["window", "contrastive"] = "window"
    keep_text: bool = False
    measure: Measure = "full"
    candidates: int = SWEPT
    prompts: int | None = None
    horizon: int | None = None
    confirmation: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no audit can be made of, in one line: InputError."""
        choices = {"screen": ("window", "contrastive"), "measure": get_args(Measure)}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise InputError(
                    f"audit settings: {name} {value!r}; expected {', '.join(map(repr, allowed))}"
                )
        least = dict.fromkeys(("neurons", "random", "controls", "seed", "candidates"), 0)
        least |= {
            name: 1
            for name in ("prompts", "horizon", "confirmation")
            if getattr(self, name) is not None
        }
        for name, fewest in least.items():
            whole = whole_number("audit settings", name, getattr(self, name), fewest)
            object.__setattr__(self, name, whole)
        object.__setattr__(self, "gains", ladder_gains("audit settings", self.gains))

    def of(self, behavior: Behavior) -> Behavior:
        """The behavior with as many prompts a split and tokens a reply as the settings allow.

        BehaviorError where it brings fewer confirmation prompts than are set.
        """
        require_confirmation(behavior, self.confirmation)
        return shortened(confirmed(behavior, self.confirmation), self.prompts, self.horizon)

    @property
    def sizes(self) -> Sizes:
        """How many neurons of each source."""
        return Sizes(self.neurons, self.random, self.controls)


def whole_number(settings: str, name: str, value: object, least: int) -> int:
    """A setting that counts; InputError where it is no whole number of at least so many."""
    if not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{settings}: {name} {value!r}; expected {least} or more, a whole number")
    return int(value)


def ladder_gains(settings: str, gains: object) -> tuple[float, ...]:
    """The gains of a ladder; InputError unless they are one or more, finite and above 0."""
    each = gains if isinstance(gains, Sequence) else ()
    if not each or not all(isinstance(gain, Real) and 0 < float(gain) < math.inf for gain in each):
        raise InputError(
            f"{settings}: gains {gains!r}; expected one or more, finite and above 0, as (0.3, 0.6)"
        )
    return tuple(map(float, each))


class Forecast(NamedTuple):
    """One branch with both predicted edges; no trigger where the behavior declares no openings.

    `source` says why it is measured; `gap` is its contrast of activations, where it has one;
    `chance` of its ends, where flips can be forecast; `weight` the branches of a pool that it
    stands for, where it was drawn from one; `beside` its ceiling by other predictors.
    """

    at: Coordinate
    ceiling: Edge
    trigger: Edge | None
    source: BranchSource = "screen"
    gap: float | None = None
    chance: Chance | None = None
    weight: float | None = None
    beside: tuple[Edge, ...] = ()


def baseline_trials(subject: Subject) -> list[Trial]:
    """The undosed model on both splits."""
    prompts = subject.behavior.selection + subject.behavior.confirmation
    return set_trials(subject, "baseline", "undosed", (), prompts)


def dose_screen(
    subject: Subject, candidates: Sequence[Neuron], count: int, bar: Progress
) -> Ranking:
    """Who would open under an additive dose, by the predicted window."""
    return window(
        subject.model,
        subject.behavior,
        clean=subject.clean,
        neurons=candidates,
        count=count,
        advance=bar.advance,
    )


def pin_screen(
    subject: Subject, candidates: Sequence[Neuron], count: int, bar: Progress
) -> Ranking:
    """Who would flip the behavior held at a value."""
    return pins(
        subject.model,
        subject.behavior,
        clean=subject.clean._replace(extent=subject.extent),
        neurons=candidates,
        count=count,
        advance=bar.advance,
    )


def draw_of(subject: Subject, rankings: Sequence[Ranking], settings: AuditSettings) -> Draw:
    """Who is measured, from the rankings of the screens."""
    return draw(subject.ground, rankings, settings.sizes, subject.seed, settings.gains[0])


def forecast(
    subject: Subject, branches: Sequence[Coordinate], gains: Sequence[float], bar: Progress
) -> list[Forecast]:
    """The predicted ceiling and trigger of every branch."""
    forecasts: list[Forecast] = []
    for start in range(0, len(branches), FORECAST):
        part = branches[start : start + FORECAST]
        ceilings = kl_ladder(subject.model, part, subject.ground.text)
        bar.advance(len(part) // 2)
        triggers: Sequence[Edge | None] = [None] * len(part)
        if subject.openings is not None:
            triggers = trigger_ladder(subject.model, part, subject.openings, gains)
        forecasts += map(Forecast, part, ceilings, triggers)
        bar.advance(len(part) - len(part) // 2)
    return forecasts


def with_chances(
    subject: Subject,
    forecasts: Sequence[Forecast],
    gains: Sequence[float],
    measure: Measure,
    bar: Progress,
) -> list[Forecast]:
    """The forecasts with the chance of every branch to be observed open on confirmation prompts.

    As they are where the behavior declares no openings, or no reply goes on after the target's.
    """
    if subject.openings is None:
        return list(forecasts)
    try:
        texts = ChanceTexts.of(subject)
    except BehaviorError:
        return list(forecasts)
    look, chanced = look_of(len(subject.behavior.confirmation), measure), list[Forecast]()
    for start in range(0, len(forecasts), FORECAST):
        part = forecasts[start : start + FORECAST]
        ends = branch_chances(subject, [each.at for each in part], gains, look, texts)
        chanced += [each._replace(chance=end) for each, end in zip(part, ends, strict=True)]
        bar.advance(len(part))
    return chanced


def dosed_stages(
    subject: Subject, branches: Sequence[Coordinate], gains: Sequence[float], pins: bool = True
) -> dict[str, list[Trial]]:
    """Every dosed rollout of committed branches, stage by stage; held values where `pins`."""
    behavior, sampled = subject.behavior, Sampling(CEILING_TEMPERATURE, subject.seed)
    generic = [Prompt(f"ceiling-{i}", text) for i, text in enumerate(behavior.ceiling_generic)]
    confirmation = behavior.confirmation
    stages = {
        "selection": dose_trials(subject, "selection", branches, gains, behavior.selection),
        CEILING: dose_trials(subject, CEILING, branches, gains, generic, sampled),
        "confirmation": dose_trials(subject, "confirmation", branches, gains, confirmation),
    }
    if pins:
        stages["pins"] = pin_trials(subject, "pins", pinned(subject, branches), confirmation)
    return {**stages, EARLIER: earlier_trials(subject, branches, gains)}


def control_trials(
    subject: Subject, controls: Sequence[Coordinate], gains: Sequence[float]
) -> list[Trial]:
    """Every rollout of the random controls."""
    return dose_trials(subject, "control", controls, gains, subject.behavior.confirmation)


def pinned(subject: Subject, branches: Sequence[Coordinate]) -> list[tuple[Neuron, float]]:
    """Every audited neuron with each value it is held at, multiples of its natural extent.

    A neuron that is never active on the prompts is only ablated.
    """
    neurons = (
        replace(place.branch, pole=1) for place in branches if isinstance(place.branch, Neuron)
    )
    values: list[tuple[Neuron, float]] = []
    for neuron in dict.fromkeys(neurons):
        size = float(subject.extent[neuron.layer, subject.model.slot(neuron)])
        multiples = PIN_MULTIPLES if size > 0 else (0.0,)
        values += [(neuron, float(f"{multiple * size:.6g}")) for multiple in multiples]
    return values


def earlier_trials(
    subject: Subject, branches: Sequence[Coordinate], gains: Sequence[float]
) -> list[Trial]:
    """The same writes a quarter of the way up, for the branches above it, under their names."""
    model, early, trials = subject.model, subject.model.n_layers // 4, []
    for place in branches:
        if isinstance(place.branch, Neuron) and place.branch.layer > early:
            write = model.write(place.branch).cpu() * place.branch.pole
            budget = float(subject.ground.stream.norm[early] / write.norm())
            moved = Coordinate(Direction(early, str(place.branch), write), budget, 0.0)
            dosed = dose_trials(subject, EARLIER, [moved], gains, subject.behavior.selection)
            trials += [replace(trial, branch=str(place.branch)) for trial in dosed]
    return trials
