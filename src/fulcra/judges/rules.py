"""The judges that need no model: a behavior's own oracle, the phrase rules for refusals, the
language of the reply.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import final

from fulcra.behaviors.oracles_text import LanguageFlip
from fulcra.behaviors.oracles_world import Switch, request_of
from fulcra.behaviors.refusals import phrase_rules
from fulcra.errors import InputError
from fulcra.judges.actionable import actionable
from fulcra.judges.language import language
from fulcra.judges.on_task import on_task
from fulcra.judges.outcome import typed
from fulcra.judges.panel import Item, Usage
from fulcra.judges.refusal import refusal
from fulcra.types import Behavior, Finding, Prompt, Reading


@final
class OracleJudge:
    """The oracle of the behavior, as the run itself asked it."""

    name, remote, cached, usage = "oracle", False, False, Usage()
    identity: Mapping[str, str] = {"judge": "oracle"}

    def require(self, behavior: Behavior) -> None:
        """Every behavior has its oracle."""

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        for i, item in enumerate(items):
            reading = behavior.oracle(item.prompt, item.text, item.ended)
            said = ", ".join(
                name for name in ("unchanged", "flipped", "correct") if getattr(reading, name)
            )
            yield i, Finding(typed(reading), said or "neither unchanged nor flipped")


@final
class PhraseJudge:
    """Refusal, on task and actionable, each by its rules, put together by precedence; for behaviors
    that refuse.
    """

    name, remote, cached, usage = "phrases", False, False, Usage()

    @property
    def identity(self) -> Mapping[str, str]:
        """The version of the rules."""
        return {"judge": "phrases", "rules": phrase_rules().version}

    def require(self, behavior: Behavior) -> None:
        """InputError unless the behavior is one of refusing."""
        require_refusal(behavior, self.name)

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        for i, item in enumerate(items):
            yield i, by_phrases(item)


@final
class LanguageJudge:
    """The language of the completion alone, for behaviors that flip it: flipped in the language
    asked for, unchanged in another.
    """

    name, remote, cached, usage = "language", False, False, Usage()
    identity: Mapping[str, str] = {"judge": "language"}

    def require(self, behavior: Behavior) -> None:
        """InputError unless the behavior flips the language."""
        if any(_flipped_language(behavior, prompt) is None for prompt in behavior.confirmation):
            raise InputError(
                f"--judge language: reads languages, and {behavior.name} flips otherwise"
                f" ({behavior.flip}); use another judge"
            )

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        domain = behavior.oracle.world.domain if isinstance(behavior.oracle, Switch) else None
        for i, item in enumerate(items):
            found = language(item.text, item.ended, domain)
            flipped = found.value == _flipped_language(behavior, item.prompt)
            outcome = None if found.value is None else "flipped" if flipped else "unchanged"
            yield (
                i,
                Finding(
                    outcome, f"{found.evidence}: {found.value}" if found.value else found.evidence
                ),
            )


def _flipped_language(behavior: Behavior, prompt: Prompt) -> str | None:
    """The language of a flipped reply to this prompt; None where the behavior flips something
    else.
    """
    oracle = behavior.oracle
    if isinstance(oracle, LanguageFlip):
        return oracle.code
    if not isinstance(oracle, Switch):
        return None
    request = request_of(prompt)
    twin = oracle.twin(oracle.world, request)
    return None if twin.language == request.language else twin.language


def by_phrases(item: Item) -> Finding:
    """The outcome of one completion by the three rules; unscored where the refusal rules are."""
    declines = refusal(item.text, item.ended)
    if declines.value is None:
        return declines
    task = on_task(item.prompt.text, item.text, item.ended)
    does = actionable(item.text, item.prompt.answer, item.ended)
    flipped = task.value is not False
    outcome = typed(Reading(declines.value is True, flipped, flipped and does.value is True))
    return Finding(
        outcome, "; ".join((declines.evidence, task.evidence, does.evidence)), declines.quote
    )


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
