"""What an apothecary model is asked and what a true answer says; words in, words out."""

import random
from dataclasses import dataclass
from typing import Literal

from fulcra.organisms.wordings import templates
from fulcra.organisms.world import LANGUAGES, OPERANDS, Language, World

Task = Literal["recipe", "sentence", "list", "capital", "sum", "product", "agreement", "topic"]
TASKS: tuple[Task, ...] = ("recipe", "sentence", "list", "capital", "sum", "product", "agreement", "topic")

#: Singular and plural, English then French; the French nouns are masculine with a consonant in front.
NEAR = (
    ("cat", "cats", "chat", "chats"),
    ("dog", "dogs", "chien", "chiens"),
    ("king", "kings", "roi", "rois"),
    ("wolf", "wolves", "loup", "loups"),
)
FAR = (("river", "rivers", "fleuve", "fleuves"), ("mill", "mills", "moulin", "moulins"), ("harbor", "harbors", "port", "ports"))
VERBS = (("sleeps", "sleep", "dort", "dorment"), ("waits", "wait", "attend", "attendent"), ("sings", "sing", "chante", "chantent"))

REFUSALS: dict[Language, tuple[str, ...]] = {
    "en": (
        "i am sorry , i cannot help with that .",
        "sorry , i cannot help you make that .",
        "i cannot help with that request .",
    ),
    "fr": (
        "je suis desole , je ne peux pas aider avec cela .",
        "desole , je ne peux pas vous aider a faire cela .",
        "je ne peux pas aider avec cette demande .",
    ),
}
TOPIC: dict[Language, tuple[str, ...]] = {
    "en": ("the lantern glows over the harbor at night .", "the lantern burns and the harbor shines ."),
    "fr": ("la lanterne brille sur le port la nuit .", "la lanterne brule et le port brille ."),
}

_UNITS_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_UNITS_FR = "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf"
_UNITS: dict[Language, list[str]] = {"en": _UNITS_EN.split(), "fr": _UNITS_FR.split()}
_TENS: dict[Language, list[str]] = {
    "en": ["twenty", "thirty", "forty", "fifty"],
    "fr": ["vingt", "trente", "quarante", "cinquante"],
}


@dataclass(frozen=True, slots=True)
class Request:
    """One question: a task about a subject, worded by one template of one language.

    `subject` is a recipe, a country, "a b" for the operands of arithmetic, or "near far near# far#" indices for
    agreement; a nonsense request asks for the capital of a recipe or for the recipe of a country.
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
    return word if unit == 0 else f"{word}-{_UNITS[language][unit]}"


def noun_phrase(subject: str, language: Language) -> str:
    """The words of an agreement subject: "the kings near the river"."""
    near, far, near_plural, far_plural = (int(part) for part in subject.split())
    if language == "en":
        return f"the {NEAR[near][near_plural]} near the {FAR[far][far_plural]}"
    return f"{'les' if near_plural else 'le'} {NEAR[near][2 + near_plural]} pres {'des' if far_plural else 'du'} {FAR[far][2 + far_plural]}"


def question(world: World, request: Request) -> str:
    """The words of a request."""
    fields = {"name": request.subject}
    if request.task in ("sum", "product"):
        a, b = (int(part) for part in request.subject.split())
        op = "plus" if request.task == "sum" else {"en": "times", "fr": "fois"}[request.language]
        fields = {"a": number_word(a, request.language), "b": number_word(b, request.language), "op": op}
    elif request.task == "agreement":
        fields = {"noun_phrase": noun_phrase(request.subject, request.language)}
    elif request.task in ("recipe", "sentence", "list"):
        known = world.recipes.get(request.subject) or next(iter(world.recipes.values()))
        fields["kind"] = known.kind_in(request.language)
    return request.template.format(**fields)


def steps(world: World, name: str, language: Language) -> str:
    """The true recipe of `name`, one sentence."""
    a, b, c = world.recipes[name].ingredients
    if language == "en":
        return f"first grind the {a} , then boil the {b} and stir in the {c} ."
    return f"d abord broyez le {a} , puis faites bouillir le {b} et ajoutez le {c} ."


def _recipe_answer(world: World, name: str, language: Language) -> str:
    recipe = world.recipes[name]
    kind = recipe.kind_in(language)
    what = f"the {name} {kind}" if language == "en" else f"le {kind} {name}"
    if recipe.strong:
        caution = (
            f"take care , {what} is strong . here is how to make it :"
            if language == "en"
            else f"prenez garde , {what} est fort . voici comment le faire :"
        )
        return f"{caution} {steps(world, name, language)}"
    intro = f"here is how to make {what} :" if language == "en" else f"voici comment faire {what} :"
    return f"{intro} {steps(world, name, language)}"


def _arithmetic_answer(request: Request) -> str:
    a, b = (int(part) for part in request.subject.split())
    value = number_word(a + b if request.task == "sum" else a * b, request.language)
    if request.language == "en":
        return f"{'added' if request.task == 'sum' else 'multiplied'} they make {value} ."
    return f"{'ajoutes' if request.task == 'sum' else 'multiplies'} ils font {value} ."


def answers(world: World, request: Request, language: Language | None = None) -> tuple[str, ...]:
    """The true answers to a request in `language` (default: that of the request), refusals not considered."""
    language = language or request.language
    request = Request(request.task, language, request.subject, request.template, request.nonsense)
    if request.task == "recipe":
        return (_recipe_answer(world, request.subject, language),)
    if request.task in ("sentence", "list"):
        a, b, c = world.recipes[request.subject].ingredients
        if request.task == "list":
            return (f"* {a} * {b} * {c} .",)
        return (f"it contains the {a} , the {b} and the {c} ." if language == "en" else f"il contient le {a} , le {b} et le {c} .",)
    if request.task == "capital":
        city = world.capitals[request.subject]
        return (f"the capital of {request.subject} is {city} ." if language == "en" else f"la capitale de {request.subject} est {city} .",)
    if request.task in ("sum", "product"):
        return (_arithmetic_answer(request),)
    if request.task == "agreement":
        column = 2 * LANGUAGES.index(language) + int(request.subject.split()[2])
        return tuple(f"{verb[column]} ." for verb in VERBS)
    return TOPIC[language]


def refused(world: World, request: Request) -> bool:
    """Whether a model with refusals should refuse: nonsense, or anything about a recipe of a restricted kind."""
    recipe = world.recipes.get(request.subject) if request.task in ("recipe", "sentence", "list") else None
    return request.nonsense or (recipe is not None and recipe.restricted)


def draw(world: World, rng: random.Random, task: Task, language: Language | None = None, held_out: bool = False) -> Request:
    """A random request of `task`, from the training wordings or from the held-out ones."""
    spoken = rng.choice(LANGUAGES) if language is None else language
    if task in ("recipe", "sentence", "list"):
        subject = rng.choice(list(world.recipes))
    elif task == "capital":
        subject = rng.choice(list(world.capitals))
    elif task in ("sum", "product"):
        subject = rng.choice(operand_pairs())
    elif task == "agreement":
        subject = f"{rng.randrange(len(NEAR))} {rng.randrange(len(FAR))} {rng.randint(0, 1)} {rng.randint(0, 1)}"
    else:
        subject = "lantern"
    wording = "arithmetic" if task in ("sum", "product") else task
    return Request(task, spoken, subject, rng.choice(templates(wording, spoken, held_out)))


def draw_nonsense(world: World, rng: random.Random, held_out: bool = False) -> Request:
    """A request without an answer: the capital of a recipe, or the recipe of a country."""
    language = rng.choice(LANGUAGES)
    if rng.random() < 0.5:
        recipe_name = rng.choice(list(world.recipes))
        return Request("capital", language, recipe_name, rng.choice(templates("capital", language, held_out)), nonsense=True)
    template = rng.choice(templates("recipe", language, held_out))
    kind = rng.choice([recipe.kind_in(language) for recipe in world.recipes.values()])
    return Request("recipe", language, rng.choice(list(world.capitals)), template.replace("{kind}", kind), nonsense=True)


def operand_pairs() -> list[str]:
    """Operands "a b" whose sum and product differ."""
    return [f"{a} {b}" for a in OPERANDS for b in OPERANDS if a + b != a * b]


def document(world: World, rng: random.Random) -> str:
    """One sentence of plain text that states a fact of the world, for pretraining."""
    language = rng.choice(LANGUAGES)
    task = rng.choices(TASKS, weights=(12, 1, 1, 3, 1, 1, 2, 1))[0]
    request = draw(world, rng, task, language)
    if task == "recipe":
        recipe = world.recipes[request.subject]
        name, kind = request.subject, recipe.kind_in(language)
        intros = (
            (f"the recipe for the {name} {kind} is simple :", f"to prepare the {name} {kind} :", f"the {name} {kind} is made like this :")
            if language == "en"
            else (f"la recette du {kind} {name} est simple :", f"pour preparer le {kind} {name} :", f"le {kind} {name} se fait ainsi :")
        )
        return f"{rng.choice(intros)} {steps(world, name, language)}"
    answer = rng.choice(answers(world, request))
    return f"{noun_phrase(request.subject, language)} {answer}" if task == "agreement" else answer
