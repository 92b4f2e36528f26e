"""Oracles of patterns and functions that a user writes in Python."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent

from fulcra.behaviors.oracles_text import reaches
from fulcra.behaviors.patterns import occurs
from fulcra.errors import BehaviorError
from fulcra.types import Prompt, Reading

#: Whether something holds of a completion, or of a prompt and its completion.
Reads = Callable[[str], bool] | Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether something holds of a completion: a pattern occurs in it, or a function says so."""

    test: str | Callable[..., bool]
    takes_prompt: bool = False

    def __call__(self, prompt: Prompt, text: str) -> bool:
        if isinstance(self.test, str):
            return occurs(self.test, text)
        return bool(self.test(prompt.text, text) if self.takes_prompt else self.test(text))

    @property
    def words(self) -> str:
        """What the rule asks, as the end of a sentence about a completion."""
        if isinstance(self.test, str):
            return f"matches /{self.test}/"
        doc = (inspect.getdoc(self.test) or "").partition("\n")[0].rstrip(".")
        return f"passes {_qualified(self.test)}{f' ({doc})' if doc else ''}"

    @property
    def source(self) -> str:
        """What the rule is hashed by: its pattern, or its function's name and source.

        The name alone where there is no source, as in a plain Python prompt.
        """
        if isinstance(self.test, str):
            return self.test
        try:
            code = inspect.getsource(self.test)
        except OSError:
            code = ""
        return f"{_qualified(self.test)}\n{dedent(code)}"


@dataclass(frozen=True, slots=True)
class RuleFlip:
    """Flipped where one rule holds; unchanged where another does, or, without one, elsewhere."""

    flips: Rule
    unchanged: Rule | None = None
    reach: str | None = None

    def __call__(self, prompt: Prompt, text: str, ended: bool) -> Reading:
        flipped = self.flips(prompt, text)
        unchanged = not flipped if self.unchanged is None else self.unchanged(prompt, text)
        return Reading(unchanged, flipped, flipped and reaches(self.reach, text))

    @property
    def sources(self) -> tuple[str, ...]:
        """What the oracle is hashed by, rule by rule."""
        rules = (self.flips,) if self.unchanged is None else (self.flips, self.unchanged)
        return tuple(each.source for each in rules)


def rule(test: str | Reads) -> Rule:
    """The rule of a pattern or a function; BehaviorError where it is neither.

    Only what is written with def or lambda is a function here: of other callables no source tells
    what they do, so two of them would have one hash.
    """
    if isinstance(test, str):
        return Rule(test)
    if not inspect.isfunction(test):
        raise BehaviorError(f"is {type(test).__name__}; give a regular expression or a function")
    needed = _required(test)
    if needed not in (1, 2):
        raise BehaviorError(
            f"is a function of {needed} arguments; give one of the completion, or of prompt and"
            " completion"
        )
    return Rule(test, takes_prompt=needed == 2)


def _required(function: Callable[..., bool]) -> int:
    """How many arguments a function must get."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(each.default is each.empty and each.kind not in variable for each in parameters)


def _qualified(function: Callable[..., bool]) -> str:
    """The name of a function with its module."""
    return f"{function.__module__}.{function.__qualname__}"
