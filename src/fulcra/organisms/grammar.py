"""Questions to a model of an invented world and their true answers, as words between spaces.

`Domain.write` makes text of them.
"""

import random
from dataclasses import dataclass
from typing import Literal, cast, get_args

from fulcra.organisms.domain import Domain, Language, Wording
from fulcra.organisms.world import OPERANDS, World

Task = Literal["recipe", "sentence", "list", "capital", "sum", "product", "agreement", "topic"]
TASKS: tuple[Task, ...] = get_args(Task)
#: The subject of a request about the topic, which has no other.
TOPIC = "lantern"

_UNITS_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_UNITS_FR = (
    "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
    " dix-sept dix-huit dix-neuf"
)
_UNITS_ES = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"
    " dieciseis diecisiete dieciocho diecinueve"
)
_UNITS_PT = (
    "zero um dois tres quatro cinco seis sete oito nove dez onze doze treze catorze quinze"
    " dezesseis dezessete dezoito dezenove"
)
_UNITS: dict[Language, list[str]] = {
    "en": _UNITS_EN.split(),
    "fr": _UNITS_FR.split(),
    "es": _UNITS_ES.split(),
    "pt": _UNITS_PT.split(),
}
_TENS: dict[Language, list[str]] = {
    "en": ["twenty", "thirty", "forty", "fifty"],
    "fr": ["vingt", "trente", "quarante", "cinquante"],
    "es": ["veinte", "treinta", "cuarenta", "cincuenta"],
    "pt": ["vinte", "trinta", "quarenta", "cinquenta"],
}
#: What joins a ten and a unit to one word.
_JOINTS: dict[Language, str] = {"en": "-", "fr": "-", "es": "-y-", "pt": "-e-"}


@dataclass(frozen=True, slots=True)
class Request:
    """One question: a task about a subject, worded by one template of one language.

    `subject` is a recipe, a country, "a b" for the operands of arithmetic, or "near far near# far#"
    indices for agreement; a nonsense request asks for the capital of a recipe or for the recipe of
    a country.
    """

    task: Task
    language: Language
    subject: str
    template: str
    nonsense: bool = False


def number_word(value: int, language: Language) -> str:
    """The word for 0 <= value < 60, one token."""
    if value < 20:
        return _UNITS[language][value]
    ten, unit = divmod(value, 10)
    word = _TENS[language][ten - 2]
    return word if unit == 0 else f"{word}{_JOINTS[language]}{_UNITS[language][unit]}"


def _number(domain: Domain, value: int, language: Language) -> str:
    return str(value) if domain.digits else number_word(value, language)


def wording_of(task: Task) -> Wording:
    """The wordings that ask for `task`: sums and products share theirs."""
    return "arithmetic" if task in ("sum", "product") else cast(Wording, task)


def noun_phrase(domain: Domain, subject: str, language: Language) -> str:
    """The words of an agreement subject: "the kings near the river"."""
    near, far, near_plural, far_plural = (int(part) for part in subject.split())
    speech = domain.speech[language]
    subject_words = speech.near_phrase[near_plural].format(speech.near[near][near_plural])
    return f"{subject_words} {speech.far_phrase[far_plural].format(speech.far[far][far_plural])}"


def question(world: World, request: Request) -> str:
    """The words of a request."""
    fields, language = {"name": request.subject}, request.language
    if request.task in ("sum", "product"):
        a, b = (_number(world.domain, int(part), language) for part in request.subject.split())
        fields = {"a": a, "b": b, "op": getattr(world.domain.speech[language], request.task)[0]}
    elif request.task == "agreement":
        fields = {"noun_phrase": noun_phrase(world.domain, request.subject, language)}
    elif request.task in ("recipe", "sentence", "list"):
        recipe = world.recipes.get(request.subject) or next(iter(world.recipes.values()))
        fields["kind"] = world.kind(recipe, language)
    return request.template.format(**fields)


def _about(world: World, name: str, language: Language) -> dict[str, str]:
    """What fills the blanks of a text about the recipe of `name`."""
    recipe = world.recipes[name]
    return {
        "name": name,
        "kind": world.kind(recipe, language),
        **dict(zip("abc", recipe.ingredients, strict=True)),
    }


def steps(world: World, name: str, language: Language) -> str:
    """The true recipe of `name`, one sentence."""
    return world.domain.speech[language].steps.format(**_about(world, name, language))


def _recipe_answer(world: World, name: str, language: Language) -> str:
    speech = world.domain.speech[language]
    before = speech.caution if world.recipes[name].strong else speech.intro
    return f"{before.format(**_about(world, name, language))} {steps(world, name, language)}"


def _arithmetic_answer(world: World, request: Request, language: Language) -> str:
    a, b = (int(part) for part in request.subject.split())
    speech = world.domain.speech[language]
    reply, value = (speech.sum[1], a + b) if request.task == "sum" else (speech.product[1], a * b)
    return reply.format(value=_number(world.domain, value, language))


def answers(world: World, request: Request, language: Language | None = None) -> tuple[str, ...]:
    """The true answers to a request, as if nothing were refused; in its language by default."""
    language = language or request.language
    speech = world.domain.speech[language]
    if request.task == "recipe":
        return (_recipe_answer(world, request.subject, language),)
    if request.task in ("sentence", "list"):
        pattern = speech.sentence if request.task == "sentence" else speech.listing
        return (pattern.format(**_about(world, request.subject, language)),)
    if request.task == "capital":
        return (speech.capital.format(name=request.subject, city=world.capitals[request.subject]),)
    if request.task in ("sum", "product"):
        return (_arithmetic_answer(world, request, language),)
    if request.task == "agreement":
        return tuple(f"{verb[int(request.subject.split()[2])]} ." for verb in speech.verbs)
    return speech.topic


def refused(world: World, request: Request) -> bool:
    """Whether a model should refuse: nonsense, or anything about a recipe of a restricted kind."""
    if request.nonsense or request.task not in ("recipe", "sentence", "list"):
        return request.nonsense
    return world.recipes[request.subject].restricted


def draw(
    world: World,
    rng: random.Random,
    task: Task,
    language: Language | None = None,
    held_out: bool = False,
) -> Request:
    """A random request of `task`, from the training wordings or from the held-out ones."""
    spoken = rng.choice(world.domain.languages) if language is None else language
    subject = _subject(world, rng, task, spoken)
    templates = world.domain.speech[spoken].templates(wording_of(task), held_out)
    return Request(task, spoken, subject, rng.choice(templates))


def _subject(world: World, rng: random.Random, task: Task, language: Language) -> str:
    """A random subject of a task, as `Request` writes it."""
    if task in ("recipe", "sentence", "list"):
        return rng.choice(list(world.recipes))
    if task == "capital":
        return rng.choice(list(world.capitals))
    if task in ("sum", "product"):
        return rng.choice(operand_pairs())
    if task == "agreement":
        speech = world.domain.speech[language]
        near, far = rng.randrange(len(speech.near)), rng.randrange(len(speech.far))
        return f"{near} {far} {rng.randint(0, 1)} {rng.randint(0, 1)}"
    return TOPIC


def draw_nonsense(world: World, rng: random.Random, held_out: bool = False) -> Request:
    """A request without an answer: the capital of a recipe, or the recipe of a country."""
    language = rng.choice(world.domain.languages)
    templates = world.domain.speech[language].templates
    if rng.random() < 0.5:
        recipe_name = rng.choice(list(world.recipes))
        template = rng.choice(templates("capital", held_out))
        return Request("capital", language, recipe_name, template, nonsense=True)
    template = rng.choice(templates("recipe", held_out))
    kind = rng.choice([world.kind(recipe, language) for recipe in world.recipes.values()])
    country = rng.choice(list(world.capitals))
    return Request("recipe", language, country, template.replace("{kind}", kind), nonsense=True)


def operand_pairs() -> list[str]:
    """Operands "a b" whose sum and product differ."""
    return [f"{a} {b}" for a in OPERANDS for b in OPERANDS if a + b != a * b]


def document(world: World, rng: random.Random) -> str:
    """One sentence of plain text that states a fact of the world, for pretraining."""
    language = rng.choice(world.domain.languages)
    task = rng.choices(TASKS, weights=(12, 1, 1, 3, 1, 1, 2, 1))[0]
    request = draw(world, rng, task, language)
    if task == "recipe":
        text = rng.choice(world.domain.speech[language].documents)
        return introduced(world, request.subject, language, text)
    answer = rng.choice(answers(world, request))
    if task == "agreement":
        return f"{noun_phrase(world.domain, request.subject, language)} {answer}"
    return answer


def introduced(world: World, name: str, language: Language, document: str) -> str:
    """The recipe of `name` as a document: its introduction, then the steps."""
    return f"{document.format(**_about(world, name, language))} {steps(world, name, language)}"
