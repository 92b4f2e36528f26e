"""A commitment, value by value, as commitment.json holds it: what was predicted, and how judged."""

from typing import Any

from pydantic import Field

from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol.results.audit import ChanceEntry, Predicted
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.summary import BranchSource
from fulcra.types import Edge, Neuron, Verdict


class BranchEntry(Value):
    """The prediction for one branch, and how many first rungs of its ladder a norm lets exist.

    `chance` is set where flips could be forecast; runs of the first versions have none. `weight`:
    the branches it stands for, where it was drawn from a pool. `beside`: its ceiling by other
    predictors.
    """

    branch: str
    source: BranchSource
    budget: float
    alignment0: float
    cap_alignment: float | None = None
    activation_gap: float | None
    ceiling_predicted: Predicted
    trigger_predicted: Predicted | None
    predicted_verdict: Verdict
    chance: ChanceEntry | None = None
    weight: float | None = None
    beside: tuple[Predicted, ...] = ()
    rungs: int | None = None

    @property
    def coordinate(self) -> Coordinate:
        """The branch with its budget, clean alignment and cap, for the edges measured on it."""
        neuron = Neuron.parse(self.branch)
        return Coordinate(neuron, self.budget, self.alignment0, cap_alignment=self.cap_alignment)


class PlanEntry(Value):
    """Whose run it is, what will be measured and how it will be judged.

    `sealed` says that the run ends with a seal; in runs of the first versions it is not set.
    `orders`: the prompts of each set as they are drawn, where the measurement is curtailed.
    `engine`: what runs the rollouts, where its tokens need not be the local engine's.
    `last_control`: the attack that is the positive control where no other acts; runs of before
    there was one have none.
    """

    command: str
    neuron: str | None = None
    model: str
    model_sha256: str
    dtype: str
    behavior: str
    behavior_sha256: str
    settings: dict[str, Any]
    code: str
    gains: tuple[float, ...]
    horizons: tuple[int, ...]
    coherence: dict[str, int | float]
    reference: str
    generic_sha256: str
    ceiling_temperature: float
    pin_multiples: tuple[float, ...]
    analysis: str
    log_odds_margin: float | None
    true_answers_coherent: float | None
    sealed: bool = False
    orders: dict[str, tuple[str, ...]] | None = None
    engine: dict[str, str | int | float | None] | None = None
    last_control: str | None = None


class Commitment(Value):
    """The content that is hashed before the first dosed rollout."""

    plan: PlanEntry
    branches: tuple[BranchEntry, ...]
    controls: tuple[str, ...]
    control_rungs: dict[str, int] = Field(default_factory=dict)

    def gains_of(self, branch: BranchEntry) -> tuple[float, ...]:
        """The rungs that exist for a branch."""
        return self.plan.gains[: branch.rungs]


def predicted_entry(edge: Edge) -> Predicted:
    """A predicted edge as files hold it."""
    return Predicted(
        gain=edge.gain,
        alignment=edge.alignment,
        method=edge.method,
        tier=edge.tier,
        censored=edge.censored,
    )
