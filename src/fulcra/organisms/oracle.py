"""The exact oracle of an invented world: which facts a completion states, by its grammar and
nothing else.

A form is a tuple of words with None where the grammar has a blank. The forms are read off
`grammar.answers` in a world of blanks, so the grammar is written once. A cut completion
(ended=False) has a form when it begins one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

from fulcra.organisms.domain import Domain, Language
from fulcra.organisms.grammar import TASKS, Request, Task, answers, number_word
from fulcra.organisms.world import Recipe, World

_BLANK = "_"
_BLANK_SUBJECTS: dict[Task, tuple[str, ...]] = {
    "sum": ("2 3",),
    "product": ("2 3",),
    "agreement": ("0 0 0 0", "0 0 1 0"),
}
_LANGUAGES: tuple[Language, ...] = ("en", "fr")
_NUMBERS = frozenset(
    word
    for value in range(60)
    for word in (str(value), *(number_word(value, each) for each in _LANGUAGES))
)


class Form(NamedTuple):
    """One sentence pattern: the task it answers (None: a refusal), its language (None: both), words
    and blanks.
    """

    task: Task | None
    language: Language | None
    words: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one completion says, by the grammar: the task whose answer form it has, its language,
    whether it is true.

    `grammatical` is agreement of all its words with the grammar (an answer of some task, or a
    refusal); `on_task` that it answers the task asked about the subject asked, in any language;
    `consistent` that a true answer is what it says so far; `actionable` that it states a true
    answer whole.
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
    """Every form of the grammar, the refusals last; recipes and capitals are those of `subject`,
    all else is blank.
    """
    found: dict[tuple[str | None, ...], Form] = {}
    for strong, task, language in product((False, True), TASKS, domain.languages):
        recipe = Recipe(
            subject,
            (_BLANK,) * len(domain.languages),
            (_BLANK, _BLANK, _BLANK),
            restricted=False,
            strong=strong,
        )
        blank = World(-1, {subject: recipe}, (), {subject: _BLANK}, domain)
        for about in _BLANK_SUBJECTS.get(task, (subject,)):
            for answer in answers(blank, Request(task, language, about, "")):
                number = task in ("sum", "product")
                words = tuple(
                    None if word == _BLANK or (number and word in _NUMBERS) else word
                    for word in answer.split()
                )
                found.setdefault(words, Form(task, None if task == "list" else language, words))
    refusals = (
        Form(None, language, tuple(text.split()))
        for language in domain.languages
        for text in domain.speech[language].refusals
    )
    return (*found.values(), *refusals)


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
    """Whether `words` are all of `form`, or begin it when cut; a blank takes any word that is no
    fixed word.
    """
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
    (first, most), *others = sorted(counts.items(), key=lambda found: -found[1])
    return first if most > max((count for _, count in others), default=0) else None


def _fitting(domain: Domain, words: Sequence[str], ended: bool) -> list[Form]:
    return [form for form in forms(domain) if _fits(domain, words, form.words, ended)]


def grammatical(domain: Domain, text: str, ended: bool = True) -> bool:
    """Whether a text is an answer or a refusal by the grammar, or begins one when it was cut; its
    facts may be wrong.
    """
    return bool(_fitting(domain, domain.read(text, ended), ended))


def judge(world: World, request: Request, text: str, ended: bool = True) -> Facts:
    """The facts of one completion to a request; when it was cut (not `ended`), the beginning of a
    form has that form.
    """
    domain = world.domain
    words = domain.read(text, ended)
    fitting = _fitting(domain, words, ended)
    form = next(
        (each for each in fitting if each.task == request.task), fitting[0] if fitting else None
    )
    spoken = () if request.nonsense else domain.languages
    known = [
        tuple(answer.split()) for language in spoken for answer in answers(world, request, language)
    ]
    subjects = forms(domain, request.subject)
    return Facts(
        refused=form is not None and form.task is None,
        language=form.language if form is not None else language_of(domain, words),
        task=form.task if form is not None else None,
        grammatical=form is not None,
        on_task=any(
            each.task == request.task and _fits(domain, words, each.words, ended)
            for each in subjects
        ),
        consistent=any(
            words == answer if ended else words == answer[: len(words)] for answer in known
        )
        and bool(words),
        actionable=words in known,
        topic=not _topic_words(domain).isdisjoint(words),
    )
