"""What a world talks about and how it is put on paper: one domain is data, one grammar serves all.

Inside, every text is words in lower case between spaces, punctuation marks too, with its blanks in
braces. `write` puts such words on paper in the domain's text format and `read` takes them from it
again.
"""

import re
from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

Language = Literal["en", "fr", "es", "pt"]
Wording = Literal["recipe", "sentence", "list", "capital", "arithmetic", "agreement", "topic"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)

_CHECKED = ConfigDict(extra="forbid")
_BEFORE_MARK = re.compile(r" (?=[.,:?!)](?: |$))")
_SENTENCE = re.compile(r"(?:^|(?<=[.?!] ))[a-z]")
_WORD = re.compile(r"[\w-]+|[^\w\s]")


@dataclass(frozen=True, slots=True, config=_CHECKED)
class Speech:
    """How a domain asks and answers in one language.

    A recipe is asked for by every opener (with the mark at its end), verb and `recipe_phrase`, any
    other task by `wordings`, the last `held_out` of which are kept out of training. {name} {kind}
    {a} {b} {c} {city} {value} {op} are the blanks. `openings` begin intro and caution. `near`,
    `far`, `verbs` and the ways to put them in a phrase are (singular, plural).
    """

    openers: tuple[tuple[str, str], ...]
    makes: tuple[str, ...]
    recipe_phrase: str
    wordings: Mapping[Wording, tuple[str, ...]]
    intro: str
    caution: str
    steps: str
    documents: tuple[str, ...]
    sentence: str
    listing: str
    capital: str
    sum: tuple[str, str]
    product: tuple[str, str]
    topic: tuple[str, ...]
    topic_word: str
    refusals: tuple[str, ...]
    openings: tuple[str, str]
    near: tuple[tuple[str, str], ...]
    far: tuple[tuple[str, str], ...]
    verbs: tuple[tuple[str, str], ...]
    near_phrase: tuple[str, str]
    far_phrase: tuple[str, str]
    held_out: int = 1

    def templates(self, task: Wording, held_out: bool) -> tuple[str, ...]:
        """The wordings of `task` in training, or those held out, made of the same words.

        A recipe request has 40 wordings a language, 8 of them held out.
        """
        if task != "recipe":
            every = self.wordings[task]
            return every[-self.held_out :] if held_out else every[: -self.held_out]
        return tuple(
            f"{opener} {verb} {self.recipe_phrase} {mark}"
            for i, (opener, mark) in enumerate(self.openers)
            for j, verb in enumerate(self.makes)
            if ((i + 3 * j) % 5 == 0) == held_out
        )

    def texts(self) -> list[str]:
        """Every text of this language, with its blanks."""
        texts = [self.intro, self.caution, self.steps, self.sentence, self.listing, self.capital]
        texts += [*self.documents, *self.topic, *self.refusals]
        for task in WORDINGS:
            texts += [*self.templates(task, False), *self.templates(task, True)]
        pairs = [*self.near, *self.far, *self.verbs]
        pairs += [self.near_phrase, self.far_phrase, self.sum, self.product]
        return texts + [word for pair in pairs for word in pair]


@dataclass(frozen=True, slots=True, config=_CHECKED)
class TextFormat:
    """How words are put on paper.

    `spaced`: every word and mark stands between spaces, so that words can be tokens; otherwise
    marks follow their word, as one types. `capitals`: a sentence begins with one. `exchange` is a
    question with its answer in plain text.
    """

    spaced: bool
    capitals: bool
    exchange: str
    chat_template: str


@dataclass(frozen=True, slots=True, eq=False, config=_CHECKED)
class Domain:
    """One domain: its languages, the kinds of things it makes, how many facts a world of it has.

    A kind has a word a language. `digits`: numbers are written in figures. Two domains of one name
    are the same.
    """

    name: str
    speech: Mapping[Language, Speech]
    allowed_kinds: tuple[tuple[str, ...], ...]
    restricted_kinds: tuple[tuple[str, ...], ...]
    paper: TextFormat
    recipes: int = 96
    ingredients: int = 40
    places: int = 24
    syllables: int = 3
    digits: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Domain) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages spoken, in their order."""
        return tuple(self.speech)

    def words(self) -> frozenset[str]:
        """Every word and mark that the domain says whatever its facts."""
        texts = [word for kind in (*self.allowed_kinds, *self.restricted_kinds) for word in kind]
        for speech in self.speech.values():
            texts += speech.texts()
        return frozenset(
            word for text in texts for word in text.split() if not word.startswith("{")
        )

    def write(self, words: str) -> str:
        """Words between spaces as the domain's text."""
        text = words if self.paper.spaced else _BEFORE_MARK.sub("", words)
        return (
            _SENTENCE.sub(lambda letter: letter[0].upper(), text) if self.paper.capitals else text
        )

    def read(self, text: str, ended: bool = True) -> tuple[str, ...]:
        """The words of a text in lower case; of one that was cut, those that are surely whole."""
        if self.paper.spaced:
            return tuple(text.split())
        words = _WORD.findall(text.lower())
        cut = not ended and bool(words) and (text[-1].isalnum() or text[-1] == "-")
        return tuple(words[:-1] if cut else words)
