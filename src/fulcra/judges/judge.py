"""What a judge of whole runs is: completions in, typed outcomes out, in any order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from fulcra.errors import InputError
from fulcra.types import Behavior, Finding, Prompt


class Item(NamedTuple):
    """One completion to judge: `ended` is false when it was cut."""

    prompt: Prompt
    text: str
    ended: bool


class Usage(NamedTuple):
    """What judging has cost so far: requests, tokens read and written, answers without a count."""

    requests: int = 0
    read: int = 0
    written: int = 0
    uncounted: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """The sum of both counts."""
        return Usage(*(a + b for a, b in zip(self, other, strict=True)))

    def since(self, earlier: "Usage") -> "Usage":
        """The count since an earlier one of the same judge."""
        return Usage(*(a - b for a, b in zip(self, earlier, strict=True)))


class Price(NamedTuple):
    """What a million tokens cost that a judge reads and writes, in the user's own currency."""

    read: float
    written: float

    def of(self, usage: Usage) -> float:
        """The cost of some usage; answers without a token count are not in it."""
        return (usage.read * self.read + usage.written * self.written) / 1e6


class Judge(Protocol):
    """Gives each completion a typed outcome as a finding; None is unscored.

    `identity` is all that its answers depend on but the completion; `remote` says whether words
    leave this machine, `cached` whether an answer is worth keeping. Every item gets exactly one
    finding, whatever goes wrong.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Mapping[str, str]: ...

    @property
    def remote(self) -> bool: ...

    @property
    def cached(self) -> bool: ...

    @property
    def usage(self) -> Usage: ...

    def require(self, behavior: Behavior) -> None:
        """InputError where the judge cannot read this behavior."""

    def __call__(
        self, behavior: Behavior, items: Sequence[Item]
    ) -> Iterator[tuple[int, Finding]]: ...


def refuses(behavior: Behavior) -> bool:
    """Whether the undosed behavior is a refusal."""
    return behavior.label("unchanged") == "refuse"


def require_refusal(behavior: Behavior, judge: str) -> None:
    """InputError unless the behavior is one of refusing."""
    if not refuses(behavior):
        raise InputError(
            f"--judge {judge}: reads refusals, and {behavior.name} flips otherwise"
            f" ({behavior.flip}); use oracle or api:MODEL@URL"
        )
