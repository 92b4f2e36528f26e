"""What a load-time check says: the law, the number found and the number it is held against."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold at which module, the number found and the number it is held against.

    `passed` is None where the check cannot be made on this model; `note` says why.
    """

    name: str
    module: str
    passed: bool | None
    found: float
    expected: float
    law: str
    note: str = ""
    relation: Literal["", "at most ", "more than "] = ""

    @property
    def numbers(self) -> str:
        """The two numbers in words."""
        return f"found {self.found:g}, expected {self.relation}{self.expected:g}"

    def __str__(self) -> str:
        state = "not applicable" if self.passed is None else "passed" if self.passed else "failed"
        note = f"; {self.note}" if self.note else ""
        return f"{self.name} {state} at {self.module}: {self.law}, {self.numbers}{note}"


def distance(logits: Tensor, expected: Tensor) -> float:
    """The relative distance of values from what they should be."""
    return float((logits - expected).norm() / expected.norm().clamp(min=1e-30))


def small(name: str, module: str, value: float, allowed: float, law: str, note: str = "") -> Check:
    """A check that a value is at most what is allowed."""
    # written so that nan fails
    return Check(name, module, value <= allowed, value, allowed, law, note, "at most ")
