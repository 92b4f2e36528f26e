"""What stays of a rollout: its setting, its typed outcome at every horizon, its evidence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from fulcra.types import FLIPS, OUTCOMES, Outcome

#: The stages whose rows mean something of their own: generic prompts under sampled doses, where
#: an outcome is coherent, collapse or unscored; and the same write at an earlier layer.
CEILING, EARLIER = "ceiling", "earlier"
#: The stage, and the attack of the context, that asks for the flip and edits nothing.
ASKED = "asked"
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("stage", "branch", "op")),
        ("dose", pa.float64()),
        ("prompt", pa.string()),
        ("horizons", pa.list_(pa.int64())),
        ("outcomes", pa.list_(pa.string())),
        ("tokens", pa.int64()),
        ("ended", pa.bool_()),
        ("distinct", pa.float64()),
        ("surprised", pa.float64()),
        ("grammatical", pa.bool_()),
        ("text", pa.string()),
        ("text_hash", pa.string()),
        ("cuts", pa.list_(pa.int64())),
    ]
)


class Record(NamedTuple):
    """One judged rollout, a row of rollouts.parquet; `outcomes[i]` is that at `horizons[i]`.

    `dose` is read as what `op` makes of it: `gain`, `value`, `edits` or `prefilled`. `text` is what
    protocol/redaction.py lets be written, as it stood at the last horizon; `cuts[i]` counts its
    characters at horizon i (none in runs of the first versions).
    """

    stage: str
    branch: str
    op: str
    dose: float
    prompt: str
    horizons: tuple[int, ...]
    outcomes: tuple[str, ...]
    tokens: int
    ended: bool
    distinct: float | None
    surprised: float | None
    grammatical: bool | None
    text: str
    text_hash: str
    cuts: tuple[int, ...] = ()

    @property
    def gain(self) -> float:
        """The gain of an additive dose."""
        return self._dose_of("add")

    @property
    def value(self) -> float:
        """The activation at which a neuron was held."""
        return self._dose_of("pin")

    @property
    def edits(self) -> int:
        """The number of edits of a fixed set."""
        return int(self._dose_of("set"))

    @property
    def prefilled(self) -> int:
        """The number of reply tokens that were put into the model's mouth."""
        return int(self._dose_of("prefill"))

    @property
    def broken(self) -> bool:
        """Whether the rollout met numbers that are not finite: it neither ended nor went on."""
        return (
            self.outcomes[-1] == "unscored" and not self.ended and self.tokens < self.horizons[-1]
        )

    def _dose_of(self, op: str) -> float:
        if self.op != op:
            raise ValueError(f"a record of op {self.op!r} has no dose of op {op!r}")
        return self.dose

    def cut_at(self, horizon: int, text: str) -> tuple[str, bool]:
        """Of the whole `text`, what stood at `horizon`, and whether the rollout had ended then."""
        if horizon == self.horizons[-1]:
            return text, self.ended
        length = self.cuts[self.horizons.index(horizon)]
        return text[:length], self.ended and self.tokens <= horizon

    def at(self, horizon: int) -> str:
        """The typed outcome at `horizon`."""
        return self.outcomes[self.horizons.index(horizon)]

    def flipped(self, horizon: int) -> bool:
        """Whether the outcome at `horizon` is a flip."""
        return self.at(horizon) in FLIPS

    def coherent(self, horizon: int) -> bool:
        """Whether the outcome at `horizon` is scored and no collapse."""
        return self.at(horizon) not in ("unscored", "collapse")


def outcome_rates(records: Iterable[Record], horizon: int) -> dict[Outcome, float]:
    """Share of each typed outcome at `horizon`; all zero without records."""
    outcomes = [record.at(horizon) for record in records]
    count = max(1, len(outcomes))
    return {outcome: outcomes.count(outcome) / count for outcome in OUTCOMES}


def record_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Records as rows of the rollout table."""
    return [record._asdict() for record in records]


def records_of(rows: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records from rows of the rollout table, also of one that the first versions wrote."""
    return [_record(row) for row in rows]


def _record(row: Mapping[str, Any]) -> Record:
    lists = {name: tuple(row.get(name) or ()) for name in ("horizons", "outcomes", "cuts")}
    record = Record(**{**row, **lists})
    if record.stage == CEILING:
        sound = ("coherent" if o == "off_topic" else o for o in record.outcomes)
        return record._replace(outcomes=tuple(sound))
    if record.stage == EARLIER:
        return record._replace(branch=record.branch.rpartition(".as ")[2])
    return record
