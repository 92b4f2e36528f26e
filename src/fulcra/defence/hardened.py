"""One hardening, value by value, as harden.json holds it."""

from collections.abc import Sequence
from typing import ClassVar

from fulcra.defence.closing import Opening, closes
from fulcra.defence.doses import UNEDITED, Defence
from fulcra.formulas.intervals import wilson
from fulcra.protocol.results.base import (
    AdapterEntry,
    ModelEntry,
    Named,
    Provenance,
    Result,
    Timing,
    Value,
)
from fulcra.protocol.results.summary import Attack, Prevalence
from fulcra.types import Neuron

HARDEN, PAGE, FIGURE = "harden.json", "harden.html", "harden.svg"
#: Why a training stopped that was not out of steps or minutes.
CLOSED = "the windows are forecast closed"
#: Why nothing was frozen.
UNFROZEN = "not tried: no screened branch is forecast open, so there is no neuron to freeze"
#: Why undosed requests were held to nothing.
UNHELD = (
    "undosed requests were held to NOTHING: outside worlds that takes four contrast prompts on a"
    " side, so what they get now is not known"
)


class HoldEntry(Value):
    """What a model does undosed with `n` requests that no training row and no audit has.

    In a world they are allowed: the share answered truly, the share refused. Elsewhere `as_before`
    is the share of contrast prompts on which the behavior shows as it did. With n = 0 nothing was
    held to.
    """

    n: int
    accuracy: float | None = None
    over_refusal: float | None = None
    as_before: float | None = None


class CheckEntry(Value):
    """Both forecast edges at one step of a training, over the branches of one look.

    `open_screened` of `screened` and `open_random` of `random` branches are forecast open;
    `lowest_trigger` is the smallest among them. `margin` is the undosed log-odds margin [nats].
    `holds`: whether undosed requests get what they got before; None where there is none to hold to,
    not set in the first version.
    """

    step: int
    seconds: float
    screened: int
    open_screened: int
    random: int
    open_random: int
    median_ceiling: float | None
    median_trigger: float | None
    lowest_trigger: float | None
    margin: float
    loss: float | None = None
    hold: HoldEntry | None = None
    holds: bool | None = None

    @property
    def opened(self) -> int:
        """How many branches are forecast open."""
        return self.open_screened + self.open_random

    @property
    def branches(self) -> int:
        """How many branches were looked at."""
        return self.screened + self.random

    @property
    def opening(self) -> Opening:
        """The share that is forecast open, and the lowest trigger of those."""
        return Opening(self.opened / self.branches, self.lowest_trigger)


class TrainingEntry(Value):
    """One training: what its rows carried, how far it went, and why it stopped there.

    `taken` is the step whose weights are handed out: those of a check that holds. Where none does
    they are the last, and `held` is false; it is None where there was nothing to hold to. `dosed`
    names the neurons that carried a dose in a row, "L1.N83" each. None of them is set in the first
    version. One that was not tried has no steps, no adapter and no audit.
    """

    defence: Defence
    steps: int
    seconds: float
    stopped: str
    checks: tuple[CheckEntry, ...]
    taken: int | None = None
    held: bool | None = None
    dosed: tuple[str, ...] | None = None

    @property
    def tried(self) -> bool:
        """Whether there was anything to train: one without steps has no adapter."""
        return self.steps > 0

    @property
    def too_small(self) -> str:
        """That a budget was spent before windows closed, in one line; nothing where none was.

        It is where the only check after the start is the last, or where the share forecast open in
        what is handed out lies no lower than the 95 % interval of the first share. Nothing is said
        where nothing was open at first, nor of rows without edits, which close no window.
        """
        if self.stopped == CLOSED or self.defence in UNEDITED or not self.checks[0].opened:
            return ""
        first, last = self.checks[0], self.checks[-1]
        out = next((check for check in self.checks if check.step == self.taken), last)
        only = len(self.checks) == 2
        if not only and out.opening.share < wilson(first.opened, first.branches).low:
            return ""
        place = f"at step {out.step}{', the only check,' if only else ''}"
        return (
            f"the budget was too small: {place} {out.opened} of {out.branches} branches are"
            f" forecast open, {first.opened} of {first.branches} at first; give more --steps or"
            " --minutes"
        )

    @property
    def handed_out(self) -> str:
        """Which state is handed out, and whether undosed requests get there what they got.

        Nothing in the first version, which did not look.
        """
        if self.taken is None:
            return ""
        if self.held is None:
            return f"step {self.taken} is handed out; {UNHELD}"
        if self.held is False:
            return (
                f"step {self.taken} is handed out, at which undosed requests DO NOT HOLD: no check"
                " was within a point of the original"
            )
        return f"step {self.taken} is handed out, at which undosed requests hold"


class WindowEntry(Value):
    """One branch of an audit for the figure: both measured edges, and whether it opens."""

    branch: str
    source: str
    trigger: float | None
    ceiling: float | None
    opens: float | None


class UndoEntry(Value):
    """How soon tuning on flipped replies undoes a behavior.

    At `steps` under half of the selection prompts show it (None: not within `most`), tuned on
    `rows` replies; `shown` is the share look by look, undosed and before any step first, of `n`
    prompts, which the first versions did not say.
    """

    steps: int | None
    most: int
    rows: int
    shown: tuple[float, ...]
    n: int | None = None

    @property
    def words(self) -> str:
        """After how many steps, on how many replies, of how many prompts, for a table."""
        steps = f"over {self.most} steps" if self.steps is None else f"{self.steps} steps"
        return steps if self.n is None else f"{steps} on {self.rows} replies (n = {self.n})"


class SeveralEntry(Value):
    """`count` neurons dosed at once, each with gain / sqrt(count): coherent flips at every gain.

    They are shares of `n` confirmation prompts, which the first versions did not say.
    """

    count: int
    gains: tuple[float, ...]
    flips: tuple[float, ...]
    n: int | None = None

    @property
    def opens(self) -> float | None:
        """The smallest gain at which half of the confirmation prompts flip; None where none is."""
        pairs = zip(self.gains, self.flips, strict=True)
        return next((gain for gain, share in pairs if share >= 0.5), None)


class FreshEntry(Value):
    """The audited branches whose neurons no training dosed: how many there are, how many open."""

    screened: int
    open_screened: int
    random: int
    open_random: int

    @property
    def words(self) -> str:
        """What opens of them, for a table."""
        screened = f"{self.open_screened} of {self.screened} screened"
        return f"{screened}, {self.open_random} of {self.random} random"


class SideEntry(Value):
    """One model of the comparison, audited: before, after plain tuning, hardened.

    `open_screened` of `screened` branches open. Over-refusal and accuracy are of allowed requests,
    None where the behavior has none; the margin [nats] is undosed. `several`: the best
    screened neurons dosed together. `undo`: how soon further tuning undoes it, None where no
    flipped reply is known. `fresh`: what opens of neurons that carried no dose in training, None
    where that was not counted. `commitment` is its audit's, which a gate names too. None of them
    is set in the first versions.
    """

    side: str
    model: ModelEntry
    reproduced: bool
    shown: float
    margin: float | None
    prevalence: Prevalence
    screened: int
    open_screened: int
    smallest_open_gain: float | None
    allowed: int = 0
    accuracy: float | None = None
    over_refusal: float | None = None
    attacks: tuple[Attack, ...] = ()
    several: tuple[SeveralEntry, ...] = ()
    undo: UndoEntry | None = None
    fresh: FreshEntry | None = None
    windows: tuple[WindowEntry, ...] = ()
    commitment: str | None = None
    seconds: float

    @property
    def opening(self) -> Opening:
        """The share of screened branches that open, and the smallest gain of any."""
        return Opening(self.open_screened / self.screened, self.smallest_open_gain)

    @property
    def fresh_words(self) -> str:
        """What opens of neurons that no training dosed, for a table."""
        return "not counted" if self.fresh is None else self.fresh.words

    def with_fresh(self, dosed: "set[str]") -> "SideEntry":
        """The side with what opens of the neurons that are not among the dosed."""
        fresh = [each for each in self.windows if Neuron(each.branch).site not in dosed]
        opens = {
            source: [each.opens is not None for each in fresh if each.source == source]
            for source in ("screen", "random")
        }
        entry = FreshEntry(
            screened=len(opens["screen"]),
            open_screened=sum(opens["screen"]),
            random=len(opens["random"]),
            open_random=sum(opens["random"]),
        )
        return self.model_copy(update={"fresh": entry})


class HardenSettings(Value):
    """What a hardening was asked for; `audit_seed` draws random neurons anew.

    Some of those, and of the screened ones, may have been dosed in training.
    `measure` is how its audits were measured; not set in the first version, nor without audits.
    `confirmation` is how many confirmation prompts they had, where that was said. `branches` is
    what a check forecasts, `sweep` what audits sweep, and with it its checks; `neurons`, `random`
    and `controls` are the sizes of the audits, None without any. `generic` is the rows of other
    text, and those of broken wordings, of a step; `holding` what a nat of divergence undosed weighs
    beside one under doses. None of them is set in the first versions.
    """

    rank: int
    seed: int
    audit_seed: int
    steps: int | None
    minutes: float | None
    every: int
    rows: int
    rate: float
    branches: int | None = None
    neurons: int | None = None
    random: int | None = None
    controls: int | None = None
    sweep: int | None = None
    measure: str | None = None
    confirmation: int | None = None
    generic: int | None = None
    holding: float | None = None


class HardenResult(Result):
    """One hardening: its trainings check by check, and the audits before and after."""

    file: ClassVar[str] = HARDEN

    schema_version: int
    model: ModelEntry
    behavior: Named
    settings: HardenSettings
    prompts: int
    shown: int
    adapter: AdapterEntry
    trainings: tuple[TrainingEntry, ...]
    sides: tuple[SideEntry, ...]
    provenance: Provenance
    timing: Timing

    @property
    def dosed_neurons(self) -> int | None:
        """How many neurons carried a dose in a training; None where that was not counted."""
        dosed = dosed_in(self.trainings)
        return None if dosed is None else len(dosed)

    @property
    def broken(self) -> str:
        """What is wrong with the adapter, in one line; nothing unless undosed requests broke."""
        first = self.trainings[0]
        return "" if first.held is not False else f"{first.defence}: {first.handed_out}"

    @property
    def too_small(self) -> str:
        """That the budget was too small, in one line; nothing where audits measured it closed."""
        return "" if self.closed else self.trainings[0].too_small

    @property
    def closed(self) -> bool:
        """Whether audits measured the windows closed, by the rule that ends a training.

        False without audits, where one draws no verdict, and where nothing opened before.
        """
        if len(self.sides) < 2:
            return False
        before, after = self.sides[0], self.sides[-1]
        verdicts = before.reproduced and after.reproduced
        return verdicts and closes(before.opening, after.opening)

    @property
    def overruled(self) -> str:
        """That audits measured closed what was forecast open to the end; else nothing."""
        if not (self.closed and self.trainings[0].too_small):
            return ""
        end, after = self.trainings[0].checks[-1], self.sides[-1]
        return (
            f"{end.opened} of {end.branches} branches are forecast open to the end; the audit,"
            f" which decides, measured {after.open_screened} of {after.screened} screened ones open"
        )

    def side(self, name: str) -> SideEntry | None:
        """The audited model of that name; None where it was not audited."""
        return next((side for side in self.sides if side.side == name), None)

    def pages(self) -> dict[str, str]:
        """The page and its figure, by file name; none without audits."""
        from fulcra.report.figures.windows_beside import windows_beside
        from fulcra.report.hardened import hardened_page

        return {PAGE: hardened_page(self), FIGURE: windows_beside(self)} if self.sides else {}

    def lines(self) -> tuple[str, ...]:
        """Why each training stopped, and what opens of each audited model; five lines at most.

        The first training, and the models before and hardened, are always among them.
        """
        small = [self.too_small or self.overruled, *("" for _ in self.trainings[1:])]
        trained = [
            "; ".join(filter(None, (_ended(each), each.handed_out, why)))
            for each, why in zip(self.trainings, small, strict=True)
        ]
        opened = [
            f"{side.side}: {side.open_screened} of {side.screened} screened branches open; of"
            f" neurons that no training dosed: {side.fresh_words}"
            for side in self.sides
        ]
        ends = [*opened[:1], *opened[1:][-1:]]
        trained = trained[: 5 - len(ends)]
        between = opened[1:-1][: 5 - len(ends) - len(trained)]
        return (*trained, *ends[:1], *between, *ends[1:])


def dosed_in(trainings: Sequence[TrainingEntry]) -> set[str] | None:
    """The neurons that carried a dose in a training; None where one of them did not count."""
    counted = [training.dosed for training in trainings if training.dosed is not None]
    return set().union(*counted) if len(counted) == len(trainings) else None


def _ended(training: TrainingEntry) -> str:
    return f"{training.defence}: {training.steps} steps, stopped: {training.stopped}"
