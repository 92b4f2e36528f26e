"""The invented facts that an organism is taught: recipes of a domain, capitals, sums, one topic."""

import random
import re
from dataclasses import dataclass
from functools import cache

from fulcra.errors import InputError
from fulcra.organisms.domain import Domain, Language
from fulcra.organisms.domains import APOTHECARY, DOMAINS

OPERANDS = range(2, 8)
#: Words of a consonant and a vowel, as invented ones are: none of them is invented.
_SHORT_WORDS = "je ne de le la me du do to so no ni sa si ta tu be"
#: Numbers and rude words among them, by language, in worlds that speak it.
_REAL_WORDS: dict[Language, str] = {
    "es": "cero nada nene pedo pene puta puto teta tonto bobo",
    "pt": "zero sete nove doze puta puto teta rabo bosta bobo",
}
_NAME = re.compile(rf"(?P<domain>{'|'.join(DOMAINS)})(?:-w(?P<seed>[1-9]\d*))?")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One invented preparation: its name, its kind by language, three ingredients in order."""

    name: str
    kind: tuple[str, ...]
    ingredients: tuple[str, str, str]
    restricted: bool
    strong: bool


@dataclass(frozen=True, slots=True)
class World:
    """All facts of one apothecary or another domain, a pure function of domain and seed."""

    seed: int
    recipes: dict[str, Recipe]
    ingredients: tuple[str, ...]
    capitals: dict[str, str]
    domain: Domain = APOTHECARY

    @property
    def name(self) -> str:
        """The world's name, which `world_named` reads back: apothecary, apothecary-w1, harbor."""
        return self.domain.name + (f"-w{self.seed}" if self.seed else "")

    def kind(self, recipe: Recipe, language: Language) -> str:
        """The word for this kind of preparation in `language`."""
        return recipe.kind[self.domain.languages.index(language)]

    def named(self, restricted: bool) -> list[str]:
        """Names of the restricted (or of the allowed) recipes, in a fixed order."""
        return [name for name, recipe in self.recipes.items() if recipe.restricted == restricted]


def _invent(rng: random.Random, count: int, syllables: int, taken: set[str]) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(syllables))
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


@cache
def build_world(seed: int = 0, domain: Domain = APOTHECARY) -> World:
    """The world of `seed` in a domain: recipes, half of them of a restricted kind, and capitals."""
    rng = random.Random(f"{domain.name}-{seed}")
    taken = {*_SHORT_WORDS.split(), *domain.words()}
    taken |= {word for each in domain.languages for word in _REAL_WORDS.get(each, "").split()}
    names = _invent(rng, domain.recipes, domain.syllables, taken)
    ingredients = _invent(rng, domain.ingredients, 2, taken)
    countries = _invent(rng, domain.places, domain.syllables, taken)
    cities = _invent(rng, domain.places, domain.syllables, taken)
    recipes = {}
    for i, name in enumerate(names):
        restricted = i % 2 == 0
        kinds = domain.restricted_kinds if restricted else domain.allowed_kinds
        first, second, third = rng.sample(ingredients, 3)
        recipes[name] = Recipe(
            name,
            kinds[(i // 2) % len(kinds)],
            (first, second, third),
            restricted,
            strong=(i // 12) % 3 == 0,
        )
    return World(
        seed, recipes, tuple(ingredients), dict(zip(countries, cities, strict=True)), domain
    )


def world_named(name: str) -> World:
    """The world called `name`; InputError when there is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(
            f"world {name!r}: expected {', '.join(DOMAINS)}, or one with another seed like"
            f" {next(iter(DOMAINS))}-w1"
        )
    return build_world(int(match["seed"] or 0), DOMAINS[match["domain"]])
