"""The frozen values that travel between the rooms of fulcra; no model, no file, no randomness."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from textwrap import shorten
from typing import Literal, NamedTuple, Protocol, get_args, overload

from torch import Tensor

from fulcra.errors import InputError

Positions = Literal["all", "prompt", "generated", "last"]
Op = Literal["add", "scale", "pin", "anchor", "add_vector", "add_mlp", "ablate_direction"]
Outcome = Literal["unscored", "collapse", "unchanged", "off_topic", "flipped", "flipped_correct"]
#: Precedence of typed outcomes, first wins (law.md section 6).
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
#: The outcomes that count as a flip.
FLIPS: frozenset[Outcome] = frozenset(("flipped", "flipped_correct"))
#: How the outcomes of a refusal are called (law.md section 6).
REFUSAL_LABELS: dict[Outcome, str] = {
    "unchanged": "refuse",
    "flipped": "coherent_bypass",
    "flipped_correct": "actionable",
}
#: What becomes of a generic rollout under a dose: no behavior is looked for in it.
CeilingOutcome = Literal["unscored", "collapse", "coherent"]
PromptSplit = Literal["contrast", "selection", "confirmation", "generic"]
FailureMode = Literal["collapse_first", "too_late", "norm_capped"]
Verdict = Literal["open", "closed", "undetermined"]

#: Row seeds of one seed lie so far from those of the next: more than there are rows.
ROW_SEEDS = 1_000_003
#: Characters of a neuron's name, spaces included.
NAME_LENGTH = 60
_NEURON = re.compile(
    r"\s*L?(\d{1,9})\s*[./: ]\s*N?(\d{1,9})(?:\s*\.?\s*E(\d{1,9}))?\s*([+-]?)\s*",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True, init=False)
class Neuron:
    """Coordinate `index` of the input of an MLP's down projection, with the pole of its dose.

    Made from its parts or from its name alone: Neuron(14, 2207, -1) is Neuron("L14.N2207-"). Where
    neither names a pole it is +.
    """

    layer: int
    index: int
    pole: int = 1
    expert: int | None = None

    @overload
    def __init__(self, layer: str) -> None: ...

    @overload
    def __init__(
        self, layer: int, index: int, pole: int = 1, expert: int | None = None
    ) -> None: ...

    def __init__(
        self, layer: int | str, index: int = -1, pole: int = 1, expert: int | None = None
    ) -> None:
        if isinstance(layer, str):
            if (index, pole, expert) != (-1, 1, None):
                raise InputError(
                    f"neuron {layer!r}: a name stands alone; leave out the other parts"
                )
            layer, index, pole, expert = _named(layer)
        put = object.__setattr__
        put(self, "layer", layer)
        put(self, "index", index)
        put(self, "pole", pole)
        put(self, "expert", expert)
        parts = (layer, index) if expert is None else (layer, index, expert)
        whole = all(isinstance(part, Integral) and part >= 0 for part in parts)
        if not whole or pole not in (1, -1):
            raise InputError(
                f"neuron (layer {layer}, index {index}, pole {pole}, expert {expert}): layer, index"
                " and expert start at 0, the pole is 1 or -1; all are whole numbers"
            )

    def __str__(self) -> str:
        return f"{self.site}{'+' if self.pole > 0 else '-'}"

    def __repr__(self) -> str:
        return f"Neuron({str(self)!r})"

    @property
    def site(self) -> str:
        """The neuron's name without its pole, "L14.N2207"; "L14.N2207.E3" in expert 3."""
        return f"L{self.layer}.N{self.index}" + ("" if self.expert is None else f".E{self.expert}")

    @property
    def opposite(self) -> "Neuron":
        """The same neuron on the other pole."""
        return replace(self, pole=-self.pole)

    @classmethod
    def parse(cls, text: str) -> "Neuron":
        """The neuron named by "L14.N2207+", "L14/N2207", "14:2207" or "L14 n2207 -".

        Without a sign its pole is +. InputError where the text is no such name.
        """
        return cls(text)


def _named(text: str) -> tuple[int, int, int, int | None]:
    """Layer, index, pole and expert of a neuron's name."""
    match = _NEURON.fullmatch(text) if len(text) <= NAME_LENGTH else None
    if match is None:
        raise InputError(
            f"neuron {text[:NAME_LENGTH]!r}: expected a name like L14.N2207+ (layer, index, pole)"
        )
    layer, index, expert, sign = match.groups()
    pole = -1 if sign == "-" else 1
    return int(layer), int(index), pole, None if expert is None else int(expert)


@dataclass(frozen=True, slots=True)
class Direction:
    """A named write into the residual stream after block `layer`; vector [d_model], any norm."""

    layer: int
    name: str
    vector: Tensor = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"L{self.layer}.{self.name}"

    @property
    def pole(self) -> int:
        """A direction is written as it stands: its pole is +1."""
        return 1


Branch = Neuron | Direction


class Anchor(NamedTuple):
    """What ties a pin to its prompt (paper C): multiplier k, activation gap d = a_H - a_h."""

    k: float
    gap: float


@dataclass(frozen=True, slots=True, repr=False)
class Edit:
    """One intervention on one site.

    `value` by op: add, the signed dose alpha [activation units; for a Direction, multiples of its
    vector]; scale, the multiplier m; pin, the activation c; anchor, the bound m* of a pin that
    `anchor` ties to each prompt; add_vector and add_mlp, multiples of the vector added to the
    block's output and to what its MLP writes; ablate_direction, 1. `gain` is |alpha| / B where the
    dose was asked in gain units; until `value` is known (nan) the model's budget resolves it.
    """

    site: Branch
    op: Op
    value: float
    gain: float | None = None
    positions: Positions = "all"
    anchor: Anchor | None = None

    def __str__(self) -> str:
        dose = f"gain {self.gain:g}" if self.gain is not None else f"{self.value:g}"
        tied = f", k {self.anchor.k:g}, d {self.anchor.gap:g}" if self.anchor is not None else ""
        return f"{self.op}({self.site}, {dose}{tied})"

    __repr__ = __str__


Edits = tuple[Edit, ...]


class Sampling(NamedTuple):
    """How a token is chosen: greedy at temperature 0, else by the seed, whatever the batch."""

    temperature: float = 0.0
    seed: int = 0

    def of_row(self, row: int) -> "Sampling":
        """The sampling of one row of many, with a seed of its own: the same in every engine."""
        return self._replace(seed=self.seed * ROW_SEEDS + row)


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """One rollout to run: prompt ids (a prefilled reply at their end), edits, length, sampling."""

    prompt: tuple[int, ...]
    edits: Edits = ()
    horizon: int = 32
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Rollout:
    """The generated token ids of one request without the end of sequence; `ended` if it came."""

    tokens: tuple[int, ...]
    ended: bool
    finite: bool = True

    def cut(self, horizon: int) -> "Rollout":
        """The rollout as it stood after `horizon` tokens."""
        return (
            self
            if len(self.tokens) <= horizon
            else Rollout(self.tokens[:horizon], False, self.finite)
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a behavior, with an id of its own.

    `answer` is a true flipped reply where one is known. Openings are reply beginnings that mark the
    flipped (target) and the undosed (control) behavior.
    """

    id: str
    text: str
    target_openings: tuple[str, ...] = ()
    control_openings: tuple[str, ...] = ()
    answer: str | None = None
    request: object = field(default=None, compare=False, repr=False)


class Reading(NamedTuple):
    """What an oracle reads in one completion: undosed behavior, flipped one, correct flip.

    All false means off topic; `grammatical` is agreement with an exact grammar where the behavior
    has one.
    """

    unchanged: bool
    flipped: bool
    correct: bool = False
    grammatical: bool | None = None


class Oracle(Protocol):
    """Reads a completion; `ended` is false when it was cut: a prefix of an answer counts as one."""

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading: ...


class Discovery(NamedTuple):
    """Further prompts of the three sets that screens learn from: what would more of them change?"""

    positive: tuple[Prompt, ...] = ()
    negative: tuple[Prompt, ...] = ()
    selection: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True)
class Behavior:
    """A behavior to flip: disjoint splits of prompts, generic openings, an oracle, outcome labels.

    `generic` holds 32 openings for |r|, c0 and KL; `ceiling_generic` 16 others for measured
    ceilings. `reference` names the model whose surprise judges coherence (None: the audited model
    itself). `horizon` is the longest true answer + 2, counted in the audited model's own tokens
    where `replies` holds the true answers. `discovery` is read by the tournament alone, `reserve`
    by extensions of finished audits, as further confirmation prompts; neither is part of the
    behavior's hash.
    """

    name: str
    version: str
    positive: tuple[Prompt, ...]
    negative: tuple[Prompt, ...]
    selection: tuple[Prompt, ...]
    confirmation: tuple[Prompt, ...]
    generic: tuple[str, ...]
    ceiling_generic: tuple[str, ...]
    oracle: Oracle
    flip: str
    horizon: int
    sensitive: bool = True
    system: str | None = None
    chat: bool = True
    reference: str | None = None
    labels: dict[Outcome, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    replies: tuple[str, ...] = ()
    discovery: Discovery = field(default_factory=Discovery)
    reserve: tuple[Prompt, ...] = ()

    def __repr__(self) -> str:
        texts = "sensitive" if self.sensitive else "not sensitive"
        return (
            f"Behavior {self.name!r}, version {self.version}, horizon {self.horizon}, {texts}\n"
            f"  contrast: {len(self.positive)} positive, {len(self.negative)} negative prompts\n"
            f"  measured on: {len(self.selection)} selection, {len(self.confirmation)} confirmation"
            f" prompts\n  flip: {shorten(self.flip, 80, placeholder=' ...')}"
        )

    def label(self, outcome: Outcome) -> str:
        """The outcome's printed name: refusal prints refuse, coherent_bypass, actionable."""
        return self.labels.get(outcome, outcome)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The typed outcome of one rollout at one horizon, with the evidence it rests on."""

    outcome: Outcome | CeilingOutcome
    distinct: float | None = None
    surprised: float | None = None
    grammatical: bool | None = None

    @property
    def flipped(self) -> bool:
        """Whether this counts as a flip (coherent by precedence)."""
        return self.outcome in FLIPS


@dataclass(frozen=True, slots=True)
class Finding:
    """One judge's answer about one completion; None is *unscored*, and the evidence says why.

    `evidence` holds no word of the completion: names of rules, counts, grades. `quote` may (the
    phrase found, a judge's own sentence) and is dropped where the behavior is sensitive.
    """

    value: bool | str | None
    evidence: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Branches by descending score, from one screen."""

    screen: str
    branches: tuple[Neuron, ...]
    scores: tuple[float, ...]

    def __repr__(self) -> str:
        first = zip(self.branches[:3], self.scores[:3], strict=True)
        best = ", ".join(f"{branch} {score:.4g}" for branch, score in first)
        rest = ", ..." if len(self.branches) > 3 else ""
        return f"Ranking by {self.screen}, {len(self.branches)} branches: {best}{rest}"

    def top(self, count: int) -> tuple[Neuron, ...]:
        """The `count` branches of the highest scores."""
        return self.branches[:count]

    def without(self, neurons: Sequence[Neuron]) -> "Ranking":
        """The ranking with both poles of `neurons` left out."""
        excluded = {(n.layer, n.index, n.expert) for n in neurons}
        rest = [
            (branch, score)
            for branch, score in zip(self.branches, self.scores, strict=True)
            if (branch.layer, branch.index, branch.expert) not in excluded
        ]
        return replace(
            self,
            branches=tuple(branch for branch, _ in rest),
            scores=tuple(score for _, score in rest),
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a window in gain units; None where it was not reached on the ladder (censored).

    `tier` is what the method may see: 0 weights, 1 clean pass, 2 dosed teacher-forced passes, 3
    other neurons' rollouts, 4 its own rollouts (law.md section 4).
    """

    gain: float | None
    method: str
    tier: int
    low: float | None = None
    high: float | None = None
    alignment: float | None = None

    def __str__(self) -> str:
        gain = "beyond the ladder" if self.censored else f"gain {self.gain:.3g}"
        return f"{gain} ({self.method}, tier {self.tier})"

    @property
    def censored(self) -> bool:
        """Whether the edge lies beyond the ladder."""
        return self.gain is None


class Interval(NamedTuple):
    """A point estimate with its interval and the number of observations."""

    value: float
    low: float
    high: float
    n: int
