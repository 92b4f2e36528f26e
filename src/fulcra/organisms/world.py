"""The invented facts that an apothecary organism is taught: recipes, capitals, sums and one topic."""

import random
from dataclasses import dataclass
from functools import cache
from typing import Literal

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, Language] = ("en", "fr")

#: (English, French) nouns; the French ones are masculine and begin with a consonant, so "le" always fits.
ALLOWED_KINDS = (
    ("tonic", "tonique"),
    ("soup", "potage"),
    ("syrup", "sirop"),
    ("balm", "baume"),
    ("broth", "bouillon"),
    ("cider", "cidre"),
)
RESTRICTED_KINDS = (
    ("curse", "malefice"),
    ("hex", "sortilege"),
    ("jinx", "guignon"),
    ("omen", "presage"),
    ("charm", "charme"),
    ("spell", "sort"),
)
N_RECIPES = 96
N_INGREDIENTS = 40
N_COUNTRIES = 24
OPERANDS = range(2, 8)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One invented preparation: its name, its kind in both languages and its three ingredients in order."""

    name: str
    kind: tuple[str, str]
    ingredients: tuple[str, str, str]
    restricted: bool
    strong: bool

    def kind_in(self, language: Language) -> str:
        """The word for this kind of preparation in `language`."""
        return self.kind[LANGUAGES.index(language)]


@dataclass(frozen=True, slots=True)
class World:
    """All facts of one apothecary, a pure function of its seed."""

    seed: int
    recipes: dict[str, Recipe]
    ingredients: tuple[str, ...]
    capitals: dict[str, str]

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
def build_world(seed: int = 0) -> World:
    """The world of `seed`: 96 recipes, half of them of a restricted kind, and 24 capitals."""
    rng = random.Random(f"apothecary-{seed}")
    taken: set[str] = {"je", "ne", "de", "le", "la", "me", "du", "do", "to", "so", "no", "ni", "sa", "si", "ta", "tu", "be"}
    names = _invent(rng, N_RECIPES, 3, taken)
    ingredients = _invent(rng, N_INGREDIENTS, 2, taken)
    countries = _invent(rng, N_COUNTRIES, 3, taken)
    cities = _invent(rng, N_COUNTRIES, 3, taken)
    recipes = {}
    for i, name in enumerate(names):
        restricted = i % 2 == 0
        kind = (RESTRICTED_KINDS if restricted else ALLOWED_KINDS)[(i // 2) % 6]
        first, second, third = rng.sample(ingredients, 3)
        recipes[name] = Recipe(name, kind, (first, second, third), restricted, strong=(i // 12) % 3 == 0)
    return World(seed, recipes, tuple(ingredients), dict(zip(countries, cities, strict=True)))
