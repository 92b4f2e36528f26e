"""The worlds are data that organisms were trained on: not a word of them may change."""

import hashlib
import random
from dataclasses import astuple

import pytest
from batches import plain_text
from folder import vocabulary

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.builtin import BUILDERS
from fulcra.behaviors.world_behavior import generic_openings
from fulcra.errors import BehaviorError
from fulcra.organisms.domains import DOMAINS
from fulcra.organisms.grammar import TASKS, answers, draw, draw_nonsense, question
from fulcra.organisms.oracle import forms
from fulcra.organisms.world import World, world_named

#: sha256 (16 digits) of every word and number of a domain, in their order, and of the oracle's
#: forms.
DOMAIN_DIGESTS = {
    "apothecary": ("9aa099bd39eb51ec", "7d7dcacd5d07bbcc"),
    "clockmaker": ("618b8bae05a5e9e2", "2b64c1130989bba5"),
    "harbor": ("b25e534b0e950f23", "a5860252057916f4"),
    "weaver": ("4edea91789053b58", "ecfb20e8278f20ad"),
    "potter": ("7d6d05321aed2b64", "718799af8b24faa0"),
}
#: The same of a world's facts and vocabulary, of what organisms read in training, and of its
#: behaviors.
WORLD_DIGESTS = {
    "apothecary": ("ab28f7daa35e2be7", "3fc07dae6f9f6b79", "b3be7351687ff6f5"),
    "apothecary-w1": ("08368020ce3194b8", "2829f852ee9b9d8d", "53b094967a311c8c"),
    "clockmaker": ("e58324206002f653", "578c6dd790d6a296", "244becafeab2c730"),
    "clockmaker-w2": ("cfd51fbc0a4a34dd", "5aa7e9e1ba43b0a6", "6f2c118829f8d5ff"),
    "harbor": ("75ee8bd87c96dc41", "ffe33973627a6a42", "29ac367514e24cc3"),
    "harbor-w1": ("e5ba1aca9ef769e7", "f58f826d77e4edff", "073e0a9752c519f3"),
    "weaver": ("472abaa2aa7b9ec6", "433b7d5320dbd39c", "666fdc369b5ee697"),
    "weaver-w1": ("f5186acb9ba50fce", "06e1e0e7cf3cec35", "c9ddcb7d7b3a9c1e"),
    "potter": ("ea3365768820f9bc", "067cc335ef8fd429", "94cdc00c928065b0"),
    "potter-w1": ("c8d7c30a2a0bcd2c", "2d7ec92e9ab801de", "0e95cbe4e2e74694"),
}


def digest(value: object) -> str:
    """16 digits of the sha256 of what `value` shows, types and order included."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def facts(world: World) -> list[object]:
    """Everything that a world states, and every word of its tokenizer."""
    recipes = [astuple(recipe) for recipe in world.recipes.values()]
    return [recipes, world.ingredients, world.capitals, vocabulary(world)]


def training_texts(world: World) -> list[str]:
    """Documents of a world, and questions of every task with their answers in every language."""
    rng = random.Random(0)
    texts = [plain_text(world, rng) for _ in range(300)]
    for held_out in (False, True):
        requests = [draw(world, rng, task, held_out=held_out) for task in TASKS * 20]
        requests += [draw_nonsense(world, rng, held_out) for _ in range(20)]
        texts += [world.domain.write(question(world, request)) for request in requests]
        for request in requests:
            if not request.nonsense:
                replies = [answers(world, request, each) for each in world.domain.languages]
                texts += [world.domain.write(reply) for pair in replies for reply in pair]
    return texts


def behaviors(world: World) -> list[str]:
    """The hash of every built-in behavior that the world can have, and its generic openings."""
    hashes = list(generic_openings(world.name))
    for name, build in BUILDERS.items():
        try:
            hashes.append(f"{name} {behavior_sha256(build(world))}")
        except BehaviorError:
            hashes.append(f"{name} is in no language of the world")
    return hashes


@pytest.mark.parametrize("name", DOMAIN_DIGESTS)
def test_a_domain_keeps_every_word_and_form(name: str) -> None:
    domain = DOMAINS[name]
    assert (digest(astuple(domain)), digest(forms(domain))) == DOMAIN_DIGESTS[name]


@pytest.mark.parametrize("name", WORLD_DIGESTS)
def test_a_world_keeps_its_facts_its_training_texts_and_its_behaviors(name: str) -> None:
    world = world_named(name)
    digests = digest(facts(world)), digest(training_texts(world)), digest(behaviors(world))
    assert digests == WORLD_DIGESTS[name]


def test_every_domain_is_pinned() -> None:
    assert set(DOMAIN_DIGESTS) == set(DOMAINS)
