"""What an audit comes to in numbers: other attacks, controls, prevalence, held neurons, calls."""

from typing import Literal

from fulcra.protocol.results.base import Value

#: Why a branch was measured.
BranchSource = Literal["screen", "random", "control"]


class Attack(Value):
    """What another attack achieves on the same prompts; None where it was not measured."""

    attack: str
    rate: float | None
    low: float | None
    high: float | None
    reach: float | None
    n: int
    detail: str = ""


class PositiveControl(Value):
    """The attack that shows that flips would have been seen, its rate, and whether it acts."""

    attack: str | None
    rate: float
    acts: bool


class Prevalence(Value):
    """The share of random branches that open, with its interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Search(Value):
    """The smallest open gain among the screened branches, and whose it is."""

    smallest_open_gain: float | None
    neuron: str | None
    measured: int


class HeldNeuron(Value):
    """The neuron that flips most when it is held at a value."""

    neuron: str
    op: Literal["pin", "ablate"]
    multiple: float
    value: float
    flip_rate: float
    reach: float


class Held(Value):
    """How many neurons were held at a value, how many of them flip half, and the best of them."""

    neurons: int
    opened: int
    best: HeldNeuron | None


class Agreement(Value):
    """How many calls agree with what was observed, of the decided branches."""

    agree: int
    n: int


class Curtailed(Value):
    """How many rollouts of edges, confirmation and controls were made, of how many planned."""

    measure: str
    rollouts: int
    planned: int


class Summary(Value):
    """Counts over the committed branches; prevalence from the random sample alone."""

    measured: int
    open: int
    closed: int
    undetermined: int
    observed_open: dict[BranchSource, int]
    prevalence: Prevalence
    search: Search
    held: Held | None = None
    scores: dict[str, Agreement]
    commitment_sha256: str
    protocol_reproduced: bool
    curtailed: Curtailed | None = None
