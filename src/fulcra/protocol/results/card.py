"""All that is known of one neuron, as `fulcra card` prints it."""

from typing import ClassVar

from fulcra.protocol.results.audit import Branch, Predicted
from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Value
from fulcra.protocol.results.exemplars import NeuronActivity, SnippetRow
from fulcra.types import Verdict


class Geometry(Value):
    """|v| beside its layer's, |r|, and the neuron's own budget and clean alignment."""

    write_norm: float
    layer_median_norm: float
    norm_rank: int
    of: int
    residual_norm: float
    budget: float
    alignment0: float


class DirectionCosine(Value):
    """cos(v, a learned direction), its chance, and what the best of the layer has by chance."""

    direction: str
    cosine: float
    p: float
    expected_max: float


class Rank(Value):
    """The place of the neuron in a screen."""

    screen: str
    units: str
    rank: int
    of: int
    score: float
    pole: str


class TokenLogit(Value):
    """A token and its logit under the write alone."""

    token: str
    logit: float


class BranchCard(Value):
    """One pole: predicted edges, the words of its write, and what a run measured of it."""

    branch: str
    pole: str
    alignment0: float
    cap: float | None
    ceiling: Predicted
    trigger: Predicted | None
    margin: float | None
    predicted_verdict: Verdict | None
    promoted: tuple[TokenLogit, ...]
    suppressed: tuple[TokenLogit, ...]
    measured: Branch | None


class NeuronExemplars(NeuronActivity):
    """What `fulcra exemplars` found of the neuron, and its snippets."""

    rows: tuple[SnippetRow, ...]


class CardResult(Result):
    """The card of one neuron, both poles; what was not asked for is None or empty."""

    file: ClassVar[str] = "card.json"

    schema_version: int
    command: str
    model: ModelEntry
    neuron: str
    behavior: Named | None
    geometry: Geometry
    direction: DirectionCosine | None
    ranks: tuple[Rank, ...]
    branches: tuple[BranchCard, ...]
    run: str | None
    exemplars: NeuronExemplars | None
    seed: int
    provenance: Provenance

    def pages(self) -> dict[str, str]:
        """The page of the card."""
        from fulcra.report.card import render_card

        return {"card.html": render_card(self)}

    def lines(self) -> tuple[str, ...]:
        """The neuron and its budget, then what is predicted of each pole."""
        from fulcra.report.card import window

        poles = [
            f"{branch.branch}: trigger {window(branch)['trigger']}, ceiling"
            f" {window(branch)['ceiling']} (predicted / measured)"
            for branch in self.branches
        ]
        head = f"{self.neuron} of {self.model.name}, budget B {self.geometry.budget:.3g}"
        return (head, *poles)
