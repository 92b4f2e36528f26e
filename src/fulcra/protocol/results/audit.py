"""An audit, value by value, as audit.json holds it."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from fulcra.protocol.results.base import ModelEntry, Provenance, Result, Timing, Value
from fulcra.protocol.results.incidents import IncidentsEntry
from fulcra.protocol.results.summary import Attack, BranchSource, PositiveControl, Summary
from fulcra.store import AUDIT, REPORT
from fulcra.types import FailureMode, Neuron, Verdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from fulcra.report.beside import Beside

#: The schema of audit.json.
SCHEMA_VERSION = 1
#: The sources of branches that were committed with a prediction.
SOURCES: tuple[BranchSource, ...] = ("screen", "random")
#: Share of each typed outcome.
Outcomes = dict[str, float]


class BehaviorEntry(Value):
    """The behavior of a result, with the hash and sizes of its prompt sets."""

    name: str
    version: str
    sha256: str
    sensitive: bool = True
    horizon: int
    horizons: tuple[int, ...]
    flip: str
    labels: dict[str, str]
    splits: dict[str, int]

    def label(self, outcome: str) -> str:
        """The outcome's name as this behavior prints it."""
        return self.labels.get(outcome, outcome).replace("_", " ")


class SettingsEntry(Value):
    """The size of an audit; of a window, seed and gains alone.

    `design`: the hash of the registered design that the run belongs to, `pool` that of the chances
    by which its branches were drawn.
    """

    neurons: int = 1
    random: int = 0
    controls: int = 0
    seed: int
    gains: tuple[float, ...]
    screen: str = ""
    keep_text: bool = False
    measure: str = "full"
    candidates: int | None = None
    prompts: int | None = None
    horizon: int | None = None
    confirmation: int | None = None
    design: str | None = None
    pool: str | None = None


class Baseline(Value):
    """The undosed model: how often it shows the behavior, and how often it leaks."""

    rate: float
    low: float
    high: float
    n: int
    leak: float
    log_odds_margin: float | None
    true_answers_coherent: float | None


class Predicted(Value):
    """A predicted edge: gain, alignment there, method and tier."""

    gain: float | None
    alignment: float | None
    method: str
    tier: int
    censored: bool


class ChanceEntry(Value):
    """The forecast chances of a branch's three ends (law/chance.py); they sum to 1.

    `under`: no prompt flips coherently at any gain; `over`: some do and never half at one.
    """

    under: float
    open: float
    over: float


class Measured(Value):
    """A measured edge with its 5-95 % interval; `horizon` where there is one a horizon."""

    horizon: int | None = None
    gain: float | None
    low: float | None
    high: float | None
    alignment: float | None
    censored: bool


class Rung(Value):
    """What a branch does at one gain; the alignment's range is over positions.

    The numbers of rollouts are set where the measurement is curtailed: they differ by rung then.
    """

    gain: float
    alignment: float
    coherent: float | None
    flip_selection: float | None
    flip_confirmation: float | None
    reach: float
    outcomes: dict[str, Outcomes]
    n_confirmation: int | None = None
    n_selection: int | None = None
    n_generic: int | None = None
    alignment_low: float | None = None
    alignment_high: float | None = None


class Pin(Value):
    """What holding a neuron at a value achieves; `multiple` is of its natural extent."""

    op: Literal["pin", "ablate"]
    multiple: float
    value: float
    flip_rate: float
    reach: float


class Branch(Value):
    """One measured branch beside its prediction; of a control, only whether it opens.

    `verdict` and `observed_open` are None where no verdict is drawn.
    """

    neuron: str
    pole: str
    kind: Literal["neuron", "direction"]
    source: BranchSource
    budget: float | None = None
    alignment0: float | None = None
    activation_gap: float | None = None
    ceiling_predicted: Predicted | None = None
    trigger_predicted: Predicted | None = None
    chance: ChanceEntry | None = None
    cap_gain: float | None = None
    ceiling_measured: Measured | None = None
    triggers: tuple[Measured, ...] = ()
    observed_open: bool | None
    smallest_open_gain: float | None
    margin: float | None = None
    verdict: Verdict | None
    predicted_verdict: Verdict | None = None
    law_verdict: Verdict | None = None
    failure_mode: FailureMode | None = None
    specific: bool | None = None
    outcomes_gain: float | None = None
    outcomes: Outcomes = Field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    curve: tuple[Rung, ...] = ()

    @property
    def name(self) -> str:
        """The branch as printed, "L14.N2207+"."""
        return f"{self.neuron}{self.pole}"

    @property
    def branch(self) -> Neuron:
        """The branch as a neuron with its pole; InputError for a direction."""
        return Neuron.parse(self.name)

    @property
    def reach(self) -> float | None:
        """The strict reach at `outcomes_gain`, on the confirmation split."""
        return self.outcomes.get("flipped_correct")

    def __repr__(self) -> str:
        gain = self.smallest_open_gain
        opening = "opens at no gain" if gain is None else f"opens at gain {gain:g}"
        return f"<Branch {self.name}, {self.source}: {self.verdict}, {opening}>"

    __str__ = __repr__

    def trigger(self, horizon: int) -> Measured | None:
        """The measured trigger at a horizon; None where it was not measured."""
        return next((edge for edge in self.triggers if edge.horizon == horizon), None)


class Sample(Value):
    """One completion of the best opened branch; `undosed` is what it answers without a dose."""

    neuron: str
    pole: str
    gain: float
    prompt: str
    text: str
    outcome: str
    undosed: str | None = None


class Figures(Value):
    """The part of an audit that its commitment and its rollouts alone determine."""

    baseline: Baseline
    neurons: tuple[Branch, ...]
    context: tuple[Attack, ...]
    positive_control: PositiveControl
    summary: Summary


class AuditResult(Result):
    """One audit: every committed branch beside its prediction, the controls, what it adds up to."""

    file: ClassVar[str] = AUDIT

    schema_version: int
    model: ModelEntry
    behavior: BehaviorEntry
    settings: SettingsEntry
    provenance: Provenance
    baseline: Baseline
    neurons: tuple[Branch, ...]
    context: tuple[Attack, ...]
    positive_control: PositiveControl
    summary: Summary
    samples: tuple[Sample, ...] = ()
    timing: Timing | None = None
    incidents: IncidentsEntry | None = None

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that were committed with a prediction, screened ones first."""
        return tuple(branch for branch in self.neurons if branch.source in SOURCES)

    @property
    def controls(self) -> tuple[Branch, ...]:
        """The random controls: neurons on one pole, and directions."""
        return tuple(branch for branch in self.neurons if branch.source == "control")

    @property
    def best(self) -> Branch | None:
        """The branch that opens at the smallest gain; None where none opens."""
        opened = [branch for branch in self.branches if branch.smallest_open_gain is not None]
        return min(opened, key=lambda branch: branch.smallest_open_gain or 0.0, default=None)

    @property
    def met(self) -> list[str]:
        """What the run met and went on from, in a line each."""
        return [] if self.incidents is None else self.incidents.lines()

    def table(self) -> pa.Table:
        """One row a committed branch and gain: what was predicted, its rates, its verdict."""
        return pa.Table.from_pylist([row for branch in self.branches for row in _rows(branch)])

    def figure(self, name: str = "window", branch: str | None = None) -> "Figure":
        """A plotly figure: "window", "attacks", "rates", "curve" or "committed"; of one branch
        "dose", "outcomes" or "pins".

        InputError names the figures there are, and the branches with a curve.
        """
        from fulcra.report.figures import named_figure

        return named_figure(self, name, branch)

    def pages(self) -> dict[str, str]:
        """The report, by its file name."""
        from fulcra.report.page import render_report

        return {REPORT: render_report(self)}

    def page(self, beside: "Beside") -> str:
        """The report with what other commands measured; InputError where on another model."""
        from fulcra.report.page import render_report

        return render_report(self, beside)

    def open(self, folder: str | Path) -> None:
        """Save the report in `folder` and show it in the browser."""
        import webbrowser

        webbrowser.open((self.save(folder).parent / REPORT).resolve().as_uri())

    def lines(self) -> tuple[str, ...]:
        """Model and behavior, the verdict, the best branch, prevalence, the commitment."""
        from fulcra.report.headline import headline

        best, summary, calls = self.best, self.summary, self.summary.scores["L1"]
        first = "none" if best is None else f"{best.name} from gain {best.smallest_open_gain:g}"
        return (
            f"{self.model.name}, {self.behavior.name}: {headline(self).title}",
            f"best branch {first}; {summary.observed_open.get('random', 0)} of"
            f" {summary.prevalence.n} random branches open",
            f"calls by the forecast agree on {calls.agree} of {calls.n} decided branches;"
            f" committed {summary.commitment_sha256[:16]}",
            *self.met[:2],
        )


def _rows(branch: Branch) -> list[dict[str, object]]:
    """One row a gain of a branch."""
    ceiling, trigger = branch.ceiling_predicted, branch.trigger_predicted
    head = {
        "branch": branch.name,
        "source": branch.source,
        "verdict": branch.verdict,
        "ceiling_predicted": None if ceiling is None else ceiling.gain,
        "trigger_predicted": None if trigger is None else trigger.gain,
    }
    rates = ("gain", "alignment", "coherent", "flip_selection", "flip_confirmation", "reach")
    return [{**head, **{name: getattr(rung, name) for name in rates}} for rung in branch.curve]
