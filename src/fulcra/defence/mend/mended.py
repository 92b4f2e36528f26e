"""One mending, value by value, as mend.json holds it."""

from typing import ClassVar, Literal

from fulcra.defence.falls import beyond, falls
from fulcra.defence.hardened import UNHELD, HoldEntry, SideEntry
from fulcra.law.edges import HALF
from fulcra.protocol.results.base import (
    AdapterEntry,
    ModelEntry,
    Named,
    Provenance,
    Result,
    Timing,
    Value,
)

MEND, PAGE = "mend.json", "mend.html"
#: zero: the write gone; mean: its mean put back; spread: given to the other neurons of the layer;
#: retrain: the neuron's own read and write trained under doses.
How = Literal["zero", "mean", "spread", "retrain"]
#: The part of the undosed margin that a change may cost.
SLACK = 0.1
HOWS: tuple[How, ...] = ("zero", "mean", "spread", "retrain")


class LadderEntry(Value):
    """The share of confirmation prompts that flip coherently at every gain of one ladder.

    `way`: `dose`, through the neuron at the original's doses; `own`, through it at doses sized by
    its write as it is now; `stream`, the original write added to what the MLP writes.
    """

    way: Literal["dose", "own", "stream"]
    pole: str
    gains: tuple[float, ...]
    flips: tuple[float, ...]

    @property
    def opens(self) -> float | None:
        """The smallest gain at which half flip; None where none does."""
        pairs = zip(self.gains, self.flips, strict=True)
        return next((gain for gain, share in pairs if share >= HALF), None)


class HeldEntry(Value):
    """The share that flips while the neuron is held at a value; 0 is the ablation."""

    value: float
    flips: float


class GateEntry(Value):
    """The neuron, and what the audit opened through it.

    `poles` open under a dose, from gain `opens`; `holds` are the values it opens at when held.
    `direction`, the share that flips in the original without the neuron's write direction in the
    stream, is measured here.
    """

    neuron: str
    poles: tuple[str, ...]
    opens: float | None
    held: tuple[float, ...]
    holds: tuple[float, ...]
    direction: float

    @property
    def line(self) -> str:
        """What the audit found, in words."""
        doses = f"under a dose from gain {self.opens:g}" if self.opens is not None else ""
        values = ", ".join("ablated" if not value else f"held at {value:g}" for value in self.holds)
        return f"{self.neuron} opens {' and '.join(part for part in (doses, values) if part)}"


class ReachEntry(Value):
    """What still flips `n` confirmation prompts, undosed, through the neuron and around it.

    `inert`: the neuron writes exactly nothing, so whatever is done to it gives the undosed replies
    and is not rolled out. `direction` is the share that flips while the original write direction is
    taken out of the stream.
    """

    n: int
    undosed: float
    inert: bool
    through: tuple[LadderEntry, ...]
    held: tuple[HeldEntry, ...]
    around: tuple[LadderEntry, ...]
    direction: float

    @property
    def closed(self) -> bool:
        """Whether less than half flips undosed and by whatever was done to the neuron."""
        shares = [self.undosed, *(each.flips for each in self.held)]
        shares += [share for ladder in self.through for share in ladder.flips]
        return max(shares) < HALF

    @property
    def most(self) -> float:
        """The largest share that flips by whatever was done to the neuron."""
        shares = [self.undosed, *(each.flips for each in self.held)]
        return max(shares + [share for ladder in self.through for share in ladder.flips])

    @property
    def around_opens(self) -> float | None:
        """The smallest gain at which the original write, added to the stream, opens."""
        gains = [ladder.opens for ladder in self.around if ladder.opens is not None]
        return min(gains, default=None)


class BesidesEntry(Value):
    """What a model does undosed: the behavior, other requests, generic text.

    `shown` of `n` prompts of selection and confirmation show the behavior; `margin` [nats] is the
    mean log-odds margin of the selection prompts, None without openings; `kl` [nats a token] is
    from the original, on generic text of it that nothing was fitted to or trained on.
    """

    shown: int
    n: int
    margin: float | None
    hold: HoldEntry
    kl: float

    def losses(self, before: "BesidesEntry") -> list[str]:
        """Everything that is lost since `before`, in words: what a change that keeps has none of.

        Shares that are worse by more than a point, or one prompt, and a margin smaller by more than
        a tenth.
        """
        lost = []
        if beyond((before.shown - self.shown) / self.n, self.n):
            lost.append(f"{self.shown} of {self.n} show the behavior, not {before.shown}")
        then, now = before.margin, self.margin
        if then is not None and now is not None and then - now > SLACK * abs(then):
            lost.append(f"{now:.3g} nats of margin, not {then:.3g}")
        fallen = falls(before.hold, self.hold)
        return lost + [f"{each.after:.3g} {each.name}, not {each.before:.3g}" for each in fallen]


class FitEntry(Value):
    """A ridge regression of what is put back, on held-out text; `penalty` is the smallest change's.

    `r2` of the neuron's activation, `error` of a constant over the constant itself; `weight` is the
    length of what replaces the neuron's own read.
    """

    positions: int
    held_out: int
    weight: float
    penalty: float
    r2: float | None = None
    error: float | None = None


class ChangeEntry(Value):
    """One change: how large it is, what it closes, and what it costs.

    `norm` is the Frobenius norm of what is added to weights, over that of the layer's down
    projection. `keeps` is None where nothing is lost of what was measured, and there were no other
    requests to measure. One that was not tried has `reason` and nothing else.
    """

    how: How
    reason: str = ""
    norm: float | None = None
    fit: FitEntry | None = None
    steps: int | None = None
    reach: ReachEntry | None = None
    besides: BesidesEntry | None = None
    keeps: bool | None = None

    @property
    def mends(self) -> bool:
        """Whether nothing opens through the neuron any longer, and nothing else is seen lost."""
        return self.reach is not None and self.reach.closed and self.keeps is not False


class OpenedEntry(Value):
    """What opens in one audit: branches under a dose by their smallest gain, neurons by being held.

    Of a neuron that is held or ablated, the largest share that flips; one half or more is open.
    """

    side: str
    doses: dict[str, float]
    held: dict[str, float]


class MendSettings(Value):
    """What a mending was asked for; `hows` in the order they were asked for."""

    hows: tuple[How, ...]
    steps: int
    seed: int
    audit_seed: int
    gains: tuple[float, ...]
    measure: str | None = None


class MendResult(Result):
    """One mending: what the audit opened, every change that was tried, the audit afterwards.

    `taken` is the change whose adapter is handed out, the smallest that mends; None where none
    does, and then there is no adapter. `audited` is the commitment of the audit it starts from.
    """

    file: ClassVar[str] = MEND

    schema_version: int
    model: ModelEntry
    behavior: Named
    audited: str
    gate: GateEntry
    settings: MendSettings
    original: BesidesEntry
    changes: tuple[ChangeEntry, ...]
    taken: How | None
    adapter: AdapterEntry | None
    sides: tuple[SideEntry, ...]
    opened: tuple[OpenedEntry, ...] = ()
    provenance: Provenance
    timing: Timing

    @property
    def change(self) -> ChangeEntry | None:
        """The change that is handed out."""
        return next((each for each in self.changes if each.how == self.taken), None)

    @property
    def unheld(self) -> str:
        """That the change was held to no other request, said after it; nothing where it was."""
        change = self.change
        return f"; other {UNHELD}" if change is not None and change.keeps is None else ""

    @property
    def refusal(self) -> str:
        """Why no adapter is handed out, in one line; nothing where one is."""
        if self.taken is not None:
            return ""
        tried = [each for each in self.changes if each.reach is not None]
        why = "; ".join(f"{each.how}: {_fault(each, self.original)}" for each in tried)
        return f"{self.gate.neuron}: no change closes it and loses nothing else ({why}); see harden"

    def pages(self) -> dict[str, str]:
        """The page, by its file name."""
        from fulcra.report.mended import mended_page

        return {PAGE: mended_page(self)}

    def lines(self) -> tuple[str, ...]:
        """What the audit opened, what closes it, and what opens now."""
        taken = f"{self.taken} closes it{self.unheld}" if self.taken else self.refusal
        opened = [
            f"{side.side}: {side.open_screened} of {side.screened} screened branches open"
            for side in self.sides
        ]
        return (self.gate.line, taken, *opened)


def _fault(change: ChangeEntry, original: BesidesEntry) -> str:
    """What is wrong with a change that was tried: what still flips, or what is lost undosed."""
    reach, now = change.reach, change.besides
    assert reach is not None
    assert now is not None
    if not reach.closed:
        return f"{reach.most:.0%} still flip"
    return f"closed, but {', '.join(now.losses(original)) or 'other requests are lost'}"
