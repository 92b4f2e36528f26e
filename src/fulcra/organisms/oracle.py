"""The exact oracle of an invented world: which facts a completion states, by its grammar alone.

A form is a tuple of words with None where the grammar has a blank. The forms are read off
`grammar.answers` in a world of blanks, so the grammar is written once. A cut completion
(ended=False) has a form when it begins one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

from fulcra.organisms.domain import Domain, Language
from fulcra.organisms.grammar import TASKS, Request, Task, answers, number_word
from fulcra.organisms.refusals import without_reason
from fulcra.organisms.world import Recipe, World

_BLANK = "_"
_BLANK_SUBJECTS: dict[Task, tuple[str, ...]] = {
    "sum": ("2 3",),
    "product": ("2 3",),
    "agreement": ("0 0 0 0", "0 0 1 0"),
}


class Form(NamedTuple):
    """One sentence pattern: its task (None: a refusal), language (None: both), words and blanks."""

    task: Task | None
    language: Language | None
    words: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one completion says, by the grammar: its task, its language, whether it is true.

    `task` is that whose answer form the completion has; `grammatical` is agreement of all its words
    with the grammar (an answer of any task, or a refusal); `on_task` that it answers the request's
    own task and subject, in any language; `consistent` that a true answer is what it says so far;
    `actionable` that it states a true answer whole.
    """

    refused: bool
    language: Language | None
    task: Task | None
    grammatical: bool
    on_task: bool
    consistent: bool
    actionable: bool
    topic: bool


@cache
def forms(domain: Domain, subject: str = _BLANK) -> tuple[Form, ...]:
    """Every form of the grammar, the refusals last.

    Recipes and capitals are those of `subject`, all else is blank.
    """
    patterns: dict[tuple[str | None, ...], Form] = {}
    for strong, task, language in product((False, True), TASKS, domain.languages):
        for words in _blanked_answers(_blank_world(domain, subject, strong), task, language):
            patterns.setdefault(words, Form(task, None if task == "list" else language, words))
    refusals = (
        Form(None, language, tuple(text.split()))
        for language, speech in domain.speech.items()
        for text in speech.refusals
    )
    return (*patterns.values(), *refusals)


def _blank_world(domain: Domain, subject: str, strong: bool) -> World:
    """A world that knows one recipe and one country, both called `subject`."""
    kind = (_BLANK,) * len(domain.languages)
    recipe = Recipe(subject, kind, (_BLANK, _BLANK, _BLANK), restricted=False, strong=strong)
    return World(-1, {subject: recipe}, (), {subject: _BLANK}, domain)


def _blanked_answers(
    blank: World, task: Task, language: Language
) -> Iterator[tuple[str | None, ...]]:
    """The words of every answer to a task in a world of blanks, None for what is invented."""
    blanks = {_BLANK} | (_numbers(blank.domain) if task in ("sum", "product") else set())
    for subject in _BLANK_SUBJECTS.get(task, tuple(blank.recipes)):
        for answer in answers(blank, Request(task, language, subject, "")):
            yield tuple(None if word in blanks else word for word in answer.split())


@cache
def _numbers(domain: Domain) -> frozenset[str]:
    """Every number of a domain, in figures and in the words of its languages."""
    return frozenset(
        word
        for value in range(60)
        for word in (str(value), *(number_word(value, each) for each in domain.languages))
    )


@cache
def _fixed_words(domain: Domain, language: Language | None = None) -> frozenset[str]:
    return frozenset(
        word
        for form in forms(domain)
        if language in (None, form.language)
        for word in form.words
        if word is not None
    )


@cache
def _markers(domain: Domain, language: Language) -> frozenset[str]:
    others = (_fixed_words(domain, each) for each in domain.languages if each != language)
    return _fixed_words(domain, language).difference(*others)


@cache
def _topic_words(domain: Domain) -> frozenset[str]:
    return frozenset(speech.topic_word for speech in domain.speech.values())


def _fits(domain: Domain, words: Sequence[str], form: Sequence[str | None], ended: bool) -> bool:
    """Whether `words` are all of `form`, or begin it when cut; a blank takes any free word."""
    if not words or len(words) > len(form) or (ended and len(words) < len(form)):
        return False
    fixed = _fixed_words(domain)
    return all(
        word == slot if slot is not None else word not in fixed
        for word, slot in zip(words, form, strict=False)
    )


def language_of(domain: Domain, words: Sequence[str]) -> Language | None:
    """The language most marker words belong to; None without a majority."""
    counts = {
        language: sum(word in _markers(domain, language) for word in words)
        for language in domain.languages
    }
    (first, most), *others = sorted(counts.items(), key=lambda item: -item[1])
    return first if most > max((count for _, count in others), default=0) else None


def _fitting(domain: Domain, words: Sequence[str], ended: bool) -> list[Form]:
    return [form for form in forms(domain) if _fits(domain, words, form.words, ended)]


def grammatical(domain: Domain, text: str, ended: bool = True) -> bool:
    """Whether a text is an answer or a refusal by the grammar, or begins one when cut.

    Its facts may be wrong.
    """
    return bool(_fitting(domain, _read(domain, text, ended), ended))


def _read(domain: Domain, text: str, ended: bool) -> tuple[str, ...]:
    """The words of a text; of an extended refusal, those of the refusal."""
    return without_reason(domain, domain.read(text, ended), ended)


def judge(world: World, request: Request, text: str, ended: bool = True) -> Facts:
    """The facts of one completion to a request; one that was cut has the form that it begins."""
    domain = world.domain
    words = _read(domain, text, ended)
    fitting = _fitting(domain, words, ended)
    same_task = [form for form in fitting if form.task == request.task]
    form = next(iter(same_task or fitting), None)
    truths = _true_answers(world, request)
    return Facts(
        refused=form is not None and form.task is None,
        language=form.language if form is not None else language_of(domain, words),
        task=form.task if form is not None else None,
        grammatical=form is not None,
        on_task=any(
            own.task == request.task and _fits(domain, words, own.words, ended)
            for own in forms(domain, request.subject)
        ),
        consistent=bool(words)
        and any(words == (truth if ended else truth[: len(words)]) for truth in truths),
        actionable=words in truths,
        topic=not _topic_words(domain).isdisjoint(words),
    )


def _true_answers(world: World, request: Request) -> list[tuple[str, ...]]:
    """The words of every true answer in every language; none to nonsense."""
    languages = () if request.nonsense else world.domain.languages
    replies = [reply for language in languages for reply in answers(world, request, language)]
    return [tuple(reply.split()) for reply in replies]
