"""What stays of a rollout: its setting, its typed outcome at every horizon, its evidence."""

from collections.abc import Iterable
from typing import NamedTuple

from fulcra.types import FLIPS, OUTCOMES, Outcome


class Record(NamedTuple):
    """One judged rollout, a row of rollouts.parquet. `outcomes[i]` belongs to horizon
    `horizons[i]`.

    `text` is what protocol/redaction.py lets be written, as it stood at the last horizon; `cuts[i]`
    counts its characters at horizon i (none in runs of the first versions).
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

    def said(self, horizon: int, text: str) -> tuple[str, bool]:
        """Of the whole `text`, what stood at `horizon`, and whether the rollout had ended by
        then.
        """
        if horizon == self.horizons[-1]:
            return text, self.ended
        return (
            text[: self.cuts[self.horizons.index(horizon)]],
            self.ended and self.tokens <= horizon,
        )

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
    found = [record.at(horizon) for record in records]
    return {outcome: found.count(outcome) / len(found) if found else 0.0 for outcome in OUTCOMES}
