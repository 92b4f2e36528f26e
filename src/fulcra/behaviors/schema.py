"""The one YAML file of a user's behavior, key by key; later versions add values, not keys."""

from typing import Annotated, Literal, Self

import regex
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fulcra.behaviors.languages import language_codes
from fulcra.behaviors.oracles_text import LanguageFlip, PatternFlip, RefusalFlip, WordFlip
from fulcra.behaviors.patterns import compiled, require_quick
from fulcra.behaviors.splits import N_CEILING, N_GENERIC
from fulcra.types import Oracle

PromptSet = Literal["positive", "negative", "selection", "confirmation"]
#: The prompt sets of a behavior with the number of prompts each takes of a dataset.
SIZES: dict[PromptSet, int] = {"positive": 32, "negative": 32, "selection": 8, "confirmation": 16}
#: Characters of a behavior's name, and of a pattern.
NAME, PATTERN = 100, 4000


def _name(text: str) -> str:
    if not text.isprintable() or set(text) & set("/\\") or len(text) > NAME:
        raise ValueError(
            f"{text[:60]!r} cannot name a folder; give at most {NAME} characters, none of them a"
            " slash or unprintable"
        )
    return text


def _pattern(text: str) -> str:
    if len(text) > PATTERN:
        raise ValueError(f"{text[:60]!r} and more: at most {PATTERN} characters; shorten it")
    try:
        compiled(text)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is not a regular expression ({error}); mend it") from None
    require_quick(text)
    return text


def _code(text: str) -> str:
    if text not in language_codes():
        raise ValueError(f"{text[:60]!r} is not a language code; give ISO 639-1, like fr")
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
Code = Annotated[str, AfterValidator(_code)]
Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
Openings = tuple[str, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptEntry(_Strict):
    """A prompt with openings or an answer of its own."""

    prompt: str
    target_openings: Openings | None = None
    control_openings: Openings | None = None
    answer: Annotated[str | None, Field(description="a true flipped reply, where one is known")] = (
        None
    )


class SetSlice(_Strict):
    """Prompts of a public set by its name in fulcra, which holds ids and columns and no prompt."""

    set: Annotated[
        str,
        Field(
            description=(
                "jbb-behaviors, harmbench, strongreject, advbench, xstest, alpaca, mmlu or gsm8k"
            )
        ),
    ]
    split: Annotated[
        str, Field(description="the set's split, as in harmful and benign of jbb-behaviors")
    ]
    n: Annotated[
        int | None, Field(ge=1, strict=True, description="how many; default 32, 32, 8 and 16")
    ] = None
    revision: Annotated[
        str | None,
        Field(
            coerce_numbers_to_str=True,
            description="the dataset's commit or tag; default: the commit that fulcra knows",
        ),
    ] = None


Prompts = Annotated[
    str | tuple[str | PromptEntry, ...] | SetSlice,
    Field(
        description=(
            "a list of prompts; {set, split, n} for some of a public set; or the name of a .jsonl"
            " or .csv file beside this one: a prompt, or keys (columns) prompt, target_openings,"
            " control_openings, answer; in a .csv openings stand between bars"
        )
    ),
]


_WAYS = ("regex", "words", "language", "refusal")


class FlipWords(_Strict):
    """Whole words in any letter case: flipped when more flipped ones occur than unchanged ones."""

    flipped: Words
    unchanged: Words


class FlipRefusal(_Strict):
    """Unchanged where the phrase rules read a refusal, flipped where the reply is on task instead.

    Correct where it says how.
    """

    about: Annotated[
        Words | None,
        Field(
            description=(
                "one of these makes a reply on task; else a third of the prompt's content words"
            )
        ),
    ] = None


class Flip(_Strict):
    """What counts as a flip: exactly one of regex, words, language and refusal."""

    regex: Annotated[
        Pattern | None,
        Field(description="flipped where it occurs in the completion, unchanged elsewhere"),
    ] = None
    words: FlipWords | None = None
    language: Annotated[
        Code | None,
        Field(description="ISO 639-1 code: flipped when the completion is in this language"),
    ] = None
    refusal: FlipRefusal | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [key for key in _WAYS if getattr(self, key) is not None]
        if len(ways) != 1:
            raise ValueError(
                f"needs exactly one of {', '.join(_WAYS)}, found {' and '.join(ways) or 'none'};"
                " keep one"
            )
        return self

    def oracle(self, reach: str | None) -> Oracle:
        """The oracle that reads this flip; `reach` is the pattern that makes one correct."""
        if self.regex is not None:
            return PatternFlip(self.regex, reach)
        if self.words is not None:
            return WordFlip(self.words.flipped, self.words.unchanged, reach)
        if self.refusal is not None:
            return RefusalFlip(self.refusal.about or (), reach)
        return LanguageFlip(self.language or "", reach)

    def sentence(self, reach: str | None) -> str:
        """What counts as a flip, in words."""
        if self.refusal is not None:
            how = "says how" if reach is None else f"matches /{reach}/"
            return (
                "the request is answered, on task, instead of refused; actionable when the reply"
                f" {how}"
            )
        if self.regex is not None:
            flip = f"matches /{self.regex}/"
        elif self.words is not None:
            flipped, unchanged = ", ".join(self.words.flipped), ", ".join(self.words.unchanged)
            flip = f"says more of {flipped} than of {unchanged}"
        else:
            flip = f"is in the language {self.language}"
        correct = "" if reach is None else f"; correct when it matches /{reach}/"
        return f"the completion {flip}{correct}"


class Source(_Strict):
    """A dataset to take prompt sets from; those of one column take 32, 32, 8 or 16 rows in turn."""

    dataset: str
    revision: str
    columns: Annotated[
        dict[PromptSet, str], Field(min_length=1, description="prompt set -> column")
    ]
    split: str


class BehaviorFile(_Strict):
    """A behavior of your own. Paths are taken from the folder of this file."""

    name: Annotated[str, Field(min_length=1), AfterValidator(_name)]
    version: Annotated[str, Field(coerce_numbers_to_str=True)]
    system: Annotated[
        str | None, Field(description="system prompt, where the model has a chat template")
    ] = None
    positive: Annotated[
        Prompts | None,
        Field(
            description=(
                "contrast prompts on one side: those that are refused, or those whose reply is the"
                " flipped one"
            )
        ),
    ] = None
    negative: Annotated[Prompts | None, Field(description="contrast prompts on the other side")] = (
        None
    )
    selection: Annotated[
        Prompts | None,
        Field(description="prompts that choose neuron and gain; undosed, they do not flip"),
    ] = None
    confirmation: Annotated[
        Prompts | None, Field(description="prompts behind every headline number")
    ] = None
    generic: Annotated[
        str | tuple[str, ...] | None,
        Field(
            description=(
                f"openings of ordinary text: the first {N_GENERIC} serve |r|, c0 and KL, the rest"
                f" ({N_CEILING} or more) measured ceilings; a list, or a .jsonl or .csv file as"
                " above; absent: bundled ones"
            )
        ),
    ] = None
    target_openings: Annotated[Openings, Field(description="how flipped replies begin")] = ()
    control_openings: Annotated[Openings, Field(description="how undosed replies begin")] = ()
    flip: Flip
    reach: Annotated[Pattern | None, Field(description="pattern that makes a flip correct")] = None
    horizon: Annotated[
        int,
        Field(
            ge=1, strict=True, description="tokens a verdict may take: the longest true answer + 2"
        ),
    ]
    sensitive: Annotated[
        bool | None,
        Field(
            strict=True,
            description="keep texts out of reports; default: does the name contain refus",
        ),
    ] = None
    source: Source | None = None
    topic: Annotated[
        str | None, Field(min_length=1, description="stands for {topic} in every text of this file")
    ] = None


def behavior_schema() -> dict[str, object]:
    """The JSON schema of a behavior file."""
    return BehaviorFile.model_json_schema()
