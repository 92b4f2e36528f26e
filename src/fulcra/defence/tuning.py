"""The training itself: steps under doses, both edges followed, stopped by a forecast audit."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from fulcra.defence.average import Average
from fulcra.defence.best import Best
from fulcra.defence.closing import closes
from fulcra.defence.doses import FREEZING, UNEDITED, Defence, Draw, drawing
from fulcra.defence.hardened import CLOSED, CheckEntry, TrainingEntry
from fulcra.defence.hold import Hold
from fulcra.defence.rows import Row, laps, respelled
from fulcra.defence.training import ascended, divergence, preference_loss, reply_loss
from fulcra.defence.windows import Look, Sample, look, subject_now
from fulcra.errors import Inconclusive, InputError
from fulcra.law.verdict import law_verdict
from fulcra.models.freezing import freeze
from fulcra.models.lora import Lora
from fulcra.protocol.progress import Progress
from fulcra.protocol.stages import Forecast
from fulcra.protocol.subject import Subject
from fulcra.types import Edits, Neuron

#: Steps over which the rate of learning rises; the norm that a step's gradient is cut to.
WARM, LONGEST = 20, 1.0
#: What a nat of divergence of undosed replies weighs beside one of the loss under doses. At 10 the
#: windows of an organism closed as soon, and up to 4 points fewer allowed requests were answered
#: truly. On SmolLM2-135M-Instruct 60 drowned the loss under doses (LOG: twenty steps at 5).
HOLDING = 60.0
#: Of fewer rows that carry edits than this, half are in broken wordings: of fifteen a chat model
#: learned the prompts by heart (LOG: twice the divergence on others).
FEW = 64


@dataclass(frozen=True, slots=True)
class Effort:
    """The size of a training: its budget, the adapter's rank, the steps between two checks.

    A step takes `rows` rows with edits, as many without, `generic` rows of other text, and as many
    of either kind in broken wordings. `holding` is what a nat of divergence of those without edits
    weighs beside one of the loss of those with.
    """

    steps: int | None = None
    minutes: float | None = None
    rank: int = 8
    seed: int = 0
    every: int = 60
    rows: int = 10
    generic: int = 20
    rate: float = 2e-3
    holding: float = HOLDING
    sample: Sample = field(default_factory=Sample)


class Rows(NamedTuple):
    """What is trained on: own replies to the training prompts, and text that is never dosed.

    `hold` measures what the training does to undosed requests besides. `taught`, where there is
    any, stands in place of the rows that show the behavior, to which the model is then not held.
    `rejected` is what a row is preferred to, where preferences are trained.
    """

    own: Sequence[Row]
    generic: Sequence[Row]
    hold: Hold
    taught: Sequence[Row] = ()
    rejected: Mapping[Row, Row] = {}

    @property
    def dosed(self) -> list[Row]:
        """The rows that carry edits: those that show the behavior."""
        return list(self.taught) or [row for row in self.own if row.shown]

    @property
    def held(self) -> list[Row]:
        """The rows of the training prompts on which nothing may change."""
        return [row for row in self.own if not (self.taught and row.shown)]


#: Told of every check when it is made.
Noted = Callable[[CheckEntry], None]


@final
class Tuning:
    """One training of an adapter on the rows of a subject, under one defence."""

    def __init__(
        self,
        lora: Lora,
        subject: Subject,
        rows: Rows,
        defence: Defence,
        noted: Noted = lambda check: None,
    ) -> None:
        self.noted = noted
        self.lora, self.subject, self.rows, self.defence = lora, subject, rows, defence
        self.checks: list[CheckEntry] = []
        self.losses: list[float] = []
        self.steps = 0
        self.dosed: set[str] = set()
        self.best, self.average = Best(), Average(lora)

    def run(self, effort: Effort, bar: Progress) -> TrainingEntry:
        """The training until the windows are closed or its budget is spent, which it says.

        The adapter is then that of the best check whose undosed requests do not break, or the last.
        InputError for a budget too small, and where the loss is not finite; Inconclusive where
        nothing is forecast open before the first step.
        """
        begun, rng = time.monotonic(), random.Random(f"harden-{effort.seed}")
        optimizer = torch.optim.AdamW(self.lora.weights, lr=effort.rate, weight_decay=0.0)
        draw, stopped = self._check(effort, 0, begun), ""
        require_room(effort, _since(begun))
        require_open(self.checks[0])
        while not stopped:
            warmth = min(1.0, (self.steps + 1) / WARM)
            optimizer.param_groups[0]["lr"] = effort.rate * warmth
            self._step(optimizer, effort, draw, rng)
            self.steps += 1
            bar.advance(1)
            if self.steps % effort.every == 0 or spent(effort, self.steps, _since(begun)):
                draw = self._check(effort, self.steps, begun)
                done = self.closed and self.checks[-1].holds is not False
                # a check may spend the rest: nothing is trained after it that needs another
                stopped = CLOSED if done else spent(effort, self.steps, _since(begun))
        self.average.settle()
        taken = self.best.restore(self.lora)
        return TrainingEntry(
            defence=self.defence,
            steps=self.steps,
            seconds=_since(begun),
            stopped=stopped,
            checks=tuple(self.checks),
            taken=self.steps if taken is None else taken,
            held=None if self.checks[-1].holds is None else taken is not None,
            dosed=tuple(sorted(self.dosed)),
        )

    @property
    def closed(self) -> bool:
        """Whether a fifth of the first share is forecast open, at twice the smallest trigger.

        Never where nothing was forecast open at first, which no training begins with.
        """
        return closes(self.checks[0].opening, self.checks[-1].opening)

    def _step(
        self, optimizer: torch.optim.Optimizer, effort: Effort, draw: Draw, rng: random.Random
    ) -> None:
        """One step on rows with and without edits and on generic text."""
        edits = [draw(rng) for _ in range(effort.rows)]
        if self.defence == "doses":
            self.dosed |= {edit.site.site for (edit,) in edits if isinstance(edit.site, Neuron)}
        dosed = self._dosed(effort, rng)
        optimizer.zero_grad()
        loss = self._dosed_loss(dosed, edits)
        loss = loss + effort.holding * divergence(self.lora, self._undosed(effort, rng))
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.lora.weights, LONGEST))
        if norm != norm or norm == float("inf"):
            raise InputError(
                f"step {self.steps + 1}: the loss of {self.lora.model.name} is not finite; train"
                " in float32, or at a lower rank"
            )
        optimizer.step()
        self.average.follow()
        self.losses.append(float(loss.detach()))

    def _dosed_loss(self, rows: Sequence[Row], edits: Sequence[Edits]) -> Tensor:
        """What edits take of the replies; of rows without any, how surely the replies are given.

        A divergence from the model itself has nothing to teach where nothing is edited.
        """
        if self.defence == "prefer":
            return preference_loss(self.lora, rows, [self.rows.rejected[row] for row in rows])
        if self.defence in UNEDITED:
            return reply_loss(self.lora.model, rows, edits)
        if self.defence == "latent":
            edits = ascended(self.lora, rows, edits)
        return divergence(self.lora, rows, edits)

    def _dosed(self, effort: Effort, rng: random.Random) -> list[Row]:
        """Rows that carry edits; of few ones half in broken wordings, where replies are no labels.

        A loss against given replies has no use for wordings that these do not answer.
        """
        rows = laps(self.rows.dosed, effort.rows, rng)
        if self.defence in UNEDITED or len(self.rows.dosed) >= FEW:
            return rows
        broken = respelled(laps(self.rows.dosed, len(self.rows.dosed), rng), rng)
        return [*rows[len(rows) // 2 :], *laps(broken, len(rows) // 2, rng)]

    def _undosed(self, effort: Effort, rng: random.Random) -> list[Row]:
        """Rows without edits: own prompts, other text, and as many of both in broken wordings."""
        undosed = laps(self.rows.held, effort.rows, rng)
        undosed += laps(self.rows.generic, effort.generic, rng)
        whole = [*self.rows.held, *self.rows.generic]
        return undosed + respelled(laps(whole, effort.generic, rng), rng)

    def _check(self, effort: Effort, step: int, begun: float) -> Draw:
        """A look at both edges as they are now, noted; what draws the edits until the next one."""
        with self.average.instead(), self.lora.merged():
            now = subject_now(self.subject)
            view = look(now, effort.sample, step)
            hold = self.rows.hold(now)
        loss = fmean(self.losses) if self.losses else None
        self.losses.clear()
        check = entry_of(view, step, _since(begun), loss)
        check = check.model_copy(update={"hold": hold, "holds": self.rows.hold.holds(hold)})
        self.checks.append(check)
        if step:
            with self.average.instead():
                self.best.offer(check, self.closed, self.lora)
        elif self.defence in FREEZING:
            freeze(self.lora, neurons_to_freeze(view))
        self.noted(check)
        return drawing(self.defence, now, view.windows, view.ranked)


def _since(begun: float) -> float:
    return time.monotonic() - begun


def spent(effort: Effort, step: int, seconds: float) -> str:
    """Which budget is spent; nothing while none is."""
    if effort.steps is not None and step >= effort.steps:
        return f"{effort.steps} steps are spent"
    if effort.minutes is not None and seconds >= 60 * effort.minutes:
        return f"{effort.minutes:g} minutes are spent"
    return ""


def require_room(effort: Effort, seconds: float) -> None:
    """InputError where the budget ends before a second look at the windows could follow."""
    if effort.minutes is not None and 2 * seconds > 60 * effort.minutes:
        raise InputError(
            f"--minutes {effort.minutes:g}: one check of the windows takes {seconds / 60:.2g}"
            " minutes here, so no training fits between two; give more minutes"
        )


def require_open(check: CheckEntry) -> None:
    """Inconclusive where nothing is forecast open before the first step: nothing can close then."""
    if not check.opened:
        raise Inconclusive(
            f"harden: none of {check.branches} branches is forecast open before the first step, so"
            " there is nothing to close; audit the model, or look at more with --branches"
        )


def entry_of(view: Look, step: int, seconds: float, loss: float | None) -> CheckEntry:
    """A look as its file holds it."""
    screened, fresh = view.edges[: view.screened], view.edges[view.screened :]
    triggers = [None if each.trigger is None else each.trigger.gain for each in view.edges]
    pairs = zip(view.edges, triggers, strict=True)
    opened = [gain for each, gain in pairs if gain is not None and is_open(each)]
    return CheckEntry(
        step=step,
        seconds=seconds,
        screened=len(screened),
        open_screened=sum(map(is_open, screened)),
        random=len(fresh),
        open_random=sum(map(is_open, fresh)),
        median_ceiling=middle([each.ceiling.gain for each in view.edges]),
        median_trigger=middle(triggers),
        lowest_trigger=min(opened, default=None),
        margin=view.margin,
        loss=loss,
    )


def is_open(each: Forecast) -> bool:
    """Whether a branch is forecast open."""
    return each.trigger is not None and law_verdict(each.ceiling, each.trigger) == "open"


def neurons_to_freeze(view: Look) -> list[Neuron]:
    """The neurons of the screened branches that are forecast open; InputError where none is."""
    opened = [each.at.branch for each in view.edges[: view.screened] if is_open(each)]
    neurons = [branch for branch in opened if isinstance(branch, Neuron)]
    if not neurons:
        raise InputError(
            f"freeze: none of {view.screened} screened branches is forecast open, so there is no"
            " neuron to freeze; compare with another defence"
        )
    return neurons


def middle(gains: Sequence[float | None]) -> float | None:
    """The median gain, edges beyond the ladder counted as such; None where it is one of them."""
    value = median(float("inf") if gain is None else gain for gain in gains)
    return None if value == float("inf") else value
