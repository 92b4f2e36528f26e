"""An entry of a ledger, value by value, as one line of ledger.jsonl holds it."""

import hashlib
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, JsonValue

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.seal import MOST, SHA256, Link
from fulcra.protocol.results.weights import Weights
from fulcra.store import canonical

Kind = Literal["commitment", "resumption", "outcome", "registration", "weights"]
State = Literal["finished", "no verdict", "stopped"]
#: Previous hash of the first entry.
NOTHING = "0" * 64


class Planned(Value):
    """What a commitment is about: command, model, behavior, code, seed and settings."""

    command: str
    neuron: str | None = None
    model_sha256: str
    behavior_sha256: str
    dtype: str
    code: str
    seed: int | None
    settings: dict[str, JsonValue]

    @property
    def subject(self) -> tuple[str, str, str | None, str]:
        """What is measured of what: two commitments of one subject are a repetition."""
        return self.model_sha256, self.behavior_sha256, self.neuron, self.command


class Outcome(Value):
    """How a run ended: exit state, root of its seal, number of rollouts and of verdicts.

    Of a run that was stopped only the state, and by what.
    """

    state: State
    stopped_by: str | None = None
    seal: str | None = Field(default=None, pattern=SHA256)
    counts: dict[str, int] = Field(default_factory=dict)


class Registered(Value):
    """A design that was entered before anything it is about was measured: its name, its lineages.

    `code` is the version of the source that it was registered under.
    """

    name: str
    held_out: tuple[str, ...]
    code: str


class Entry(Value):
    """One entry: its number, the hash of the one before, whose run it is, what happened, when.

    `planned` stands in a commitment, `outcome` in an outcome, `registered` in a registration and
    `weights` beside them, whose `commitment` is the hash of the design; `sha256` is of the rest.
    """

    number: int = Field(ge=1, le=MOST)
    previous: str = Field(pattern=SHA256)
    kind: Kind
    run: str = Field(pattern=r"^[0-9a-f]{32}$")
    time: str
    commitment: str = Field(pattern=SHA256)
    planned: Planned | None = None
    outcome: Outcome | None = None
    registered: Registered | None = None
    weights: Weights | None = None
    sha256: str = Field(pattern=SHA256)

    @property
    def made_sha256(self) -> str:
        """The hash made again from what the entry holds."""
        content = {key: value for key, value in self.plain().items() if key != "sha256"}
        return hashlib.sha256(canonical(content)).hexdigest()

    @property
    def link(self) -> Link:
        """What others name it by."""
        return Link(number=self.number, sha256=self.sha256)

    @property
    def line(self) -> bytes:
        """The one byte form of the entry."""
        return canonical(self.plain()) + b"\n"

    @property
    def over(self) -> bool:
        """Whether it says that its run came to its end."""
        return self.outcome is not None and self.outcome.state != "stopped"

    def after(self, last: "Entry | None") -> Self:
        """The same entry behind the last one of a ledger, numbered and hashed."""
        number, previous = (1, NOTHING) if last is None else (last.number + 1, last.sha256)
        entry = self.model_copy(update={"number": number, "previous": previous})
        return entry.model_copy(update={"sha256": entry.made_sha256})


def new_entry(kind: Kind, run: str, sha256: str) -> Entry:
    """An entry of a run or a registration, of now, not yet behind any other."""
    return Entry(
        number=1,
        previous=NOTHING,
        kind=kind,
        run=run,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        commitment=sha256,
        sha256=NOTHING,
    )
