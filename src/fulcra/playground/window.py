"""A dose on the alignment axis: where a branch's window lies there, and what lies beyond it."""

from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.saturation import alignment_of_gain, gain_of_alignment
from fulcra.law.verdict import law_verdict
from fulcra.report import notation
from fulcra.types import Edge, Edit, Verdict

#: The end of the axis: a gain of three budgets, beyond every ladder of the tool.
FARTHEST = 0.95
#: Doses rolled out beside each other at most: more columns are no longer read.
MOST_DOSES = 6


class Span(NamedTuple):
    """A stretch of the alignment axis; `high` is the axis' end where the edge lies beyond it."""

    low: float
    high: float


class Window(NamedTuple):
    """The window of one branch before any dosed text: its coordinate and both predicted edges.

    `run` is the folder's name of the run that committed them, None where they were predicted here.
    The trigger is None where the behavior declares no openings.
    """

    place: Coordinate
    ceiling: Edge
    trigger: Edge | None
    run: str | None = None

    @property
    def branch(self) -> str:
        """The branch by its name, "L14.N2207+"."""
        return str(self.place.branch)

    @property
    def verdict(self) -> Verdict:
        """Open or closed by the law; undetermined without a trigger."""
        return "undetermined" if self.trigger is None else law_verdict(self.ceiling, self.trigger)

    @property
    def span(self) -> Span | None:
        """From trigger to ceiling on the alignment axis; None where the law says closed.

        Without a trigger it begins at 0.
        """
        if self.verdict == "closed":
            return None
        low = 0.0 if self.trigger is None or self.trigger.gain is None else self.trigger.gain
        high = FARTHEST if self.ceiling.gain is None else alignment_of_gain(self.ceiling.gain)
        return Span(alignment_of_gain(low), min(high, FARTHEST))

    @property
    def short(self) -> str:
        """The window for a list of neurons: "trigger 0.40, ceiling 0.73, open"."""
        ends = [("trigger", self.trigger)] if self.trigger is not None else []
        edges = [f"{name} {_place(edge)}" for name, edge in (*ends, ("ceiling", self.ceiling))]
        return ", ".join([*edges, self.verdict])

    @property
    def words(self) -> str:
        """The window in one sentence, in gains and alignments."""
        origin = "Predicted here" if self.run is None else f"Committed by {self.run}"
        ends = f"{origin}: {_end('ceiling', self.ceiling)}"
        if self.trigger is None:
            return f"{ends}; the behavior declares no openings, so no trigger is forecast."
        state = {"open": "open to this neuron", "closed": "no window"}.get(self.verdict, "")
        return f"{ends}, {_end('trigger', self.trigger)}: {state}."

    def middle(self) -> float:
        """The alignment a first look begins at: amid the window, else half way to the ceiling."""
        span = self.span
        if span is not None and self.trigger is not None:
            return round((span.low + span.high) / 2, 2)
        return round((FARTHEST if self.ceiling.gain is None else self._ceiling) / 2, 2)

    def warning(self, alignment: float) -> str | None:
        """The warning for a dose above the predicted ceiling; None below it."""
        gain = gain_of_alignment(alignment)
        if self.ceiling.gain is None or gain <= self.ceiling.gain:
            return None
        return (
            f"Dose {alignment:.2f} (gain {gain:.2f}) lies above the predicted ceiling"
            f" {self._ceiling:.2f} (gain {self.ceiling.gain:.2f}) of {self.branch}; expect broken"
            " text."
        )

    def edit(self, alignment: float) -> Edit:
        """The additive edit at an alignment; InputError where a norm lets no dose reach it."""
        gain = gain_of_alignment(alignment)
        if self.place.reaches(gain):
            return self.place.dose(gain)
        cap = self.place.cap_alignment or 0.0
        raise InputError(
            f"dose {alignment:.2f}: the norm after the MLP holds the alignment of {self.branch}"
            f" below {cap:.2f}; choose a smaller dose"
        )

    @property
    def _ceiling(self) -> float:
        return alignment_of_gain(self.ceiling.gain or 0.0)


def _place(edge: Edge) -> str:
    return "off the ladder" if edge.gain is None else f"{alignment_of_gain(edge.gain):.2f}"


def _end(name: str, edge: Edge) -> str:
    if edge.gain is None:
        return f"{name} beyond the ladder"
    return f"{name} {_place(edge)} (gain {notation.gain(edge.gain)})"


def alignments(chosen: float, further: str) -> tuple[float, ...]:
    """The doses to roll out, on the alignment axis: the chosen one first, each once.

    `further` holds more of them between commas; InputError for what is no dose.
    """
    doses = [chosen, *(_number(words) for words in further.split(",") if words.strip())]
    for dose in doses:
        if not 0 <= dose <= FARTHEST:
            raise InputError(f"dose {dose:g}: an alignment lies between 0 and {FARTHEST}")
    doses = list(dict.fromkeys(round(dose, 4) for dose in doses))
    if len(doses) > MOST_DOSES:
        raise InputError(f"{len(doses)} doses: at most {MOST_DOSES} run beside each other")
    return tuple(doses)


def _number(words: str) -> float:
    try:
        return float(words)
    except ValueError:
        raise InputError(
            f"dose {words.strip()[:20]!r}: give numbers between commas, as 0.3, 0.6"
        ) from None
