"""The cost of an audit from its sizes, and the largest audit that a number of minutes affords."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from fulcra.engines.generic import TOKENS
from fulcra.engines.memory import batch_bytes, held_bytes, rows_together
from fulcra.errors import InputError
from fulcra.ladders.kl_ladder import CEILING_GAINS, TEXTS
from fulcra.ladders.next_token import KEPT
from fulcra.models import Model
from fulcra.protocol.attacks import PREFILLED
from fulcra.protocol.chances import TEXTS as GENERIC
from fulcra.protocol.curtail import MEASURES
from fulcra.protocol.records import CEILING, EARLIER
from fulcra.protocol.results.cost import Cost
from fulcra.protocol.schedule import QUESTIONS, asking
from fulcra.protocol.stages import PIN_MULTIPLES, AuditSettings
from fulcra.protocol.unit_costs import UnitCosts
from fulcra.screens import pins, window
from fulcra.types import Behavior, RolloutRequest, Sampling

#: The share of rungs that a curtailed ladder climbs: a ceiling's beyond its edge, a trigger's up to
#: the ceiling (.4 to .7 in three audits).
CLIMBED = {CEILING: 0.85, "selection": 0.5, EARLIER: 0.5}
#: The share of branches whose write is made earlier: they lie above a quarter of the layers.
LATER = 0.65
#: The share of replies that are scored: equal ones are scored once (.42 and .45 in two audits).
DISTINCT = 0.45
#: What is given up, in this order, until the audit fits; each is a smaller size of one setting.
#: No reply is cut to fewer than 32 tokens: at 16, the controls of three behaviors of 20 and 24
#: tokens no longer acted on a real chat model, and such an audit draws no verdict.
SMALLER: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("measure", ("curtailed", "sequential")),
    ("candidates", (2048, 1024, 512, 256)),
    ("neurons", (8, 6, 4)),
    ("random", (8, 6, 4)),
    ("controls", (15, 10)),
    ("candidates", (128, 64)),
    ("prompts", (12, 8)),
    ("horizon", (32,)),
    ("neurons", (2, 1)),
    ("random", (2, 1)),
)


class Budgeted(NamedTuple):
    """The settings that fit, what each step costs, and what was given up, a line each."""

    settings: AuditSettings
    steps: dict[str, Cost]
    concessions: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Wall seconds of all steps."""
        return sum(step.seconds for step in self.steps.values())


def budgeted(
    model: Model, behavior: Behavior, settings: AuditSettings, costs: UnitCosts, minutes: float
) -> Budgeted:
    """The largest audit of `settings` or less that takes `minutes`; InputError where none does.

    Confirmation prompts that were asked for by number are not given up.
    """
    fitting = settings
    for fitting in _shrinking(settings, behavior):
        steps = audit_costs(model, behavior, fitting, costs)
        seconds = sum(step.seconds for step in steps.values())
        if seconds <= 60 * minutes:
            given_up = tuple(concessions(model, settings, fitting))
            return Budgeted(fitting, steps, given_up)
    raise InputError(
        f"--minutes {minutes:g}: the smallest audit of {model.name} under {behavior.name} takes"
        f" about {seconds / 60:.0f} minutes here; give it those, or {_fewer(settings)}"
    )


def _fewer(settings: AuditSettings) -> str:
    if settings.confirmation is None:
        return "fewer prompts"
    return f"fewer confirmation prompts than the {settings.confirmation} asked for"


def _shrinking(settings: AuditSettings, behavior: Behavior) -> Iterator[AuditSettings]:
    """The settings, then each smaller audit, never more of anything than was there."""
    yield settings
    for name, sizes in SMALLER:
        fewest = settings.confirmation if name == "prompts" else None
        for size in sizes:
            if fewest is not None and _is_less(size, fewest):
                continue
            if _is_less(size, _size(settings, behavior, name)):
                settings = replace(settings, **{name: size})  # type: ignore[arg-type]
                yield settings


def _size(settings: AuditSettings, behavior: Behavior, name: str) -> object:
    """A setting, as large as the behavior makes it where it is not limited."""
    whole = {"horizon": behavior.horizon, "prompts": len(behavior.confirmation)}
    limit = getattr(settings, name)
    return whole[name] if limit is None else limit


def _is_less(size: object, present: object) -> bool:
    if isinstance(size, int) and isinstance(present, int):
        return size < present
    names = [str(name) for name in MEASURES]  # from all rollouts to the fewest
    return names.index(str(size)) > names.index(str(present))


def concessions(model: Model, wanted: AuditSettings, settings: AuditSettings) -> Iterator[str]:
    """What was given up, with what it leaves."""
    if settings.measure != wanted.measure:
        yield {
            "curtailed": "rollouts stop where they can no longer change a verdict",
            "sequential": "rollouts stop early, by a test with an error of 1 % a rung",
        }[settings.measure]
    if settings.candidates != wanted.candidates:
        neurons = sum(model.width(layer) for layer in range(model.n_layers))
        yield f"the screens sweep {settings.candidates:,} of {neurons:,} neurons, by contrast"
    if settings.neurons != wanted.neurons:
        yield f"{settings.neurons} screened neurons in place of {wanted.neurons}"
    if settings.random != wanted.random:
        bound = min(1.0, 3 / (2 * settings.random))
        yield (
            f"{settings.random} random neurons in place of {wanted.random}: where none opens,"
            f" prevalence is bounded by {bound:.0%}"
        )
    if settings.controls != wanted.controls:
        yield f"{settings.controls} controls of each kind in place of {wanted.controls}"
    if settings.prompts != wanted.prompts:
        half = 0.98 / math.sqrt(settings.prompts or 1)
        yield f"{settings.prompts} prompts a split: a rate of one half is known to {half:.0%}"
    if settings.horizon != wanted.horizon:
        yield f"replies are read for {settings.horizon} tokens"


def audit_costs(
    model: Model, behavior: Behavior, settings: AuditSettings, costs: UnitCosts
) -> dict[str, Cost]:
    """The expected cost of each step of an audit; their sum is the audit's."""
    fitting = settings.of(behavior)
    held = peak_bytes(model, fitting, round(costs.prompt))
    return step_costs(model.n_layers, fitting, settings, costs, held)


def step_costs(
    n_layers: int, behavior: Behavior, settings: AuditSettings, costs: UnitCosts, held: int
) -> dict[str, Cost]:
    """The same for any model of so many layers, from unit costs alone; `held` bytes at most.

    `behavior` is as short as the settings make it.
    """
    return _Counter(n_layers, behavior, settings, costs, held).steps()


class _Counter:
    """Counts the rollouts and passes of every step, and prices them."""

    def __init__(
        self,
        n_layers: int,
        behavior: Behavior,
        settings: AuditSettings,
        costs: UnitCosts,
        held: int,
    ) -> None:
        self.n_layers, self.behavior, self.settings = n_layers, behavior, settings
        self.costs, self.held = costs, held
        self.reply = min(costs.reply, behavior.horizon)
        self.branches = 2 * (settings.neurons + settings.random)

    def steps(self) -> dict[str, Cost]:
        """Every step by its name in the audit, in order."""
        behavior, settings, costs = self.behavior, self.settings, self.costs
        n_selection, n_confirmation = len(behavior.selection), len(behavior.confirmation)
        steps = {
            "clean ground": self._ground(),
            "baseline": self._rolled(n_selection + n_confirmation),
        }
        if settings.screen == "window":
            steps |= {"screen doses": self._dose_screen(), "screen pins": self._pin_screen()}
        openings = len(CEILING_GAINS).bit_length() * self._texts()
        odds = 2 * n_selection * len(settings.gains) * (costs.next_token or 0.0)
        steps["forecast"] = self._cost(self.branches * (openings + odds))
        rungs = len(settings.gains)
        steps["chances"] = self._cost(self.branches * (self._curves() + odds))
        dosed = {
            "selection": self._ladder("selection", n_selection, rungs),
            CEILING: self._ladder(CEILING, len(behavior.ceiling_generic), rungs),
            "confirmation": self._ladder("confirmation", n_confirmation, rungs),
            "pins": self._ladder("pins", n_confirmation, len(PIN_MULTIPLES)) / 2,
            EARLIER: self._ladder(EARLIER, n_selection, rungs) * LATER,
        }
        steps |= {name: self._rolled(self.branches * rows) for name, rows in dosed.items()}
        attacks = (len(PREFILLED) + 2) * n_confirmation + self.n_layers * n_selection
        attacks += len(asking(behavior))
        steps["context"] = self._rolled(attacks)
        at_controls = 2 * settings.controls * self._ladder("control", n_confirmation, rungs)
        return {**steps, "control": self._rolled(at_controls)}

    def _ladder(self, stage: str, prompts: int, rungs: int) -> float:
        """Expected rollouts of one branch in one stage."""
        if self.settings.measure == "full":
            return prompts * rungs
        question = QUESTIONS[stage](prompts, self.settings.measure)
        whole = 2 * (prompts - question.look)
        return question.look * rungs * CLIMBED.get(stage, 1.0) + whole

    def _ground(self) -> Cost:
        """Generic text and its passes; the contrast and the universal neurons."""
        behavior, costs = self.behavior, self.costs
        texts = len(behavior.generic)
        rolled = texts * (costs.read + TOKENS * (costs.token + 2 * costs.judged))
        prompts = 2 * (len(behavior.positive) + len(behavior.negative)) + 2 * texts
        seconds = rolled + prompts * costs.read
        return self._cost(seconds, texts, texts * TOKENS)

    def _dose_screen(self) -> Cost:
        """Both poles at a first look, the best eighth on all prompts, the ceilings of the best."""
        poles = 2 * self.settings.candidates
        looked = 2 * poles
        listed = len(window.SCREEN_GAINS) * len(self.behavior.selection) * poles / KEPT
        rungs = len(CEILING_GAINS).bit_length() * window.SHORTLIST * self.settings.neurons
        return self._screen(looked + listed, rungs)

    def _pin_screen(self) -> Cost:
        """Every held value at a first look, the best eighth on all prompts, then generic text."""
        edits = len(pins.PIN_MULTIPLES) * self.settings.candidates
        looked = 2 * edits + len(self.behavior.selection) * edits / KEPT
        return self._screen(looked, pins.SHORTLIST * self.settings.neurons)

    def _screen(self, passes: float, texts: int) -> Cost:
        short = self.costs.next_token or 0.0
        return self._cost(passes * short + texts * self._texts())

    def _curves(self) -> float:
        """Seconds of the divergence and of the replies of one branch over its whole ladder."""
        costs, selection = self.costs, len(self.behavior.selection)
        tokens = GENERIC * (costs.prompt + TOKENS) + selection * (costs.prompt + self.reply)
        return len(self.settings.gains) * tokens * costs.text

    def _texts(self) -> float:
        """Seconds of one dosed pass over the generic texts."""
        return TEXTS * (self.costs.prompt + TOKENS) * self.costs.text

    def _rolled(self, rows: float) -> Cost:
        """So many rollouts, read, rolled out and judged."""
        costs, tokens = self.costs, rows * self.reply
        each = costs.token + DISTINCT * costs.judged
        return self._cost(rows * costs.read + tokens * each, round(rows), round(tokens))

    def _cost(self, seconds: float, rollouts: int = 0, tokens: int = 0) -> Cost:
        return Cost(
            rollouts=rollouts,
            tokens=tokens,
            seconds=seconds,
            cpu_seconds=seconds * self.costs.cpu,
            bytes=self.held,
        )


def peak_bytes(model: Model, behavior: Behavior, prompt: int) -> int:
    """Bytes that the process holds, and a batch of rollouts beside them."""
    row = RolloutRequest((0,) * max(1, prompt), (), behavior.horizon, Sampling())
    rows: Sequence[RolloutRequest] = [row] * 1024
    together = rows_together(model, rows)
    return held_bytes(model.device) + batch_bytes(model, rows[:together])
