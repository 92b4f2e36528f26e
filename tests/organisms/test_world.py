"""The apothecary world is a pure function of its seed, asked in many wordings, some of them held out."""

import random

import pytest

from fulcra.organisms.grammar import TASKS, answers, draw, draw_nonsense, operand_pairs, question, refused
from fulcra.organisms.wordings import templates
from fulcra.organisms.world import LANGUAGES, build_world

WORDINGS = ("recipe", "sentence", "list", "capital", "arithmetic", "agreement", "topic")


def test_a_seed_is_a_world() -> None:
    assert build_world.__wrapped__(3) == build_world.__wrapped__(3)
    assert build_world(3) != build_world(4)


def test_half_of_the_recipes_are_of_a_restricted_kind_and_no_kind_is_both() -> None:
    world = build_world(0)
    kinds = {restricted: {world.recipes[name].kind for name in world.named(restricted)} for restricted in (True, False)}
    assert len(world.named(True)) == len(world.named(False)) == 48
    assert not kinds[True] & kinds[False]


def test_an_invented_word_means_one_thing() -> None:
    world = build_world(0)
    invented = [*world.recipes, *world.ingredients, *world.capitals, *world.capitals.values()]
    assert len(set(invented)) == len(invented)
    assert not set(invented) & {
        word for name in WORDINGS for lang in LANGUAGES for text in templates(name, lang, False) for word in text.split()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_at_least_30_wordings_of_a_recipe_request(language: str) -> None:
    assert len({*templates("recipe", language, False), *templates("recipe", language, True)}) >= 30


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("wording", WORDINGS)
def test_held_out_wordings_are_whole_templates_of_known_words(wording: str, language: str) -> None:
    training, held_out = templates(wording, language, False), templates(wording, language, True)
    assert held_out
    assert not set(training) & set(held_out)
    known = {word for name in WORDINGS for text in templates(name, language, False) for word in text.split()}
    assert {word for text in held_out for word in text.split()} <= known


def test_operands_tell_a_sum_from_a_product() -> None:
    assert all(sum(pair) != pair[0] * pair[1] for pair in ([int(part) for part in text.split()] for text in operand_pairs()))


def test_refused_is_anything_restricted_or_nonsense() -> None:
    world, rng = build_world(0), random.Random(1)
    for _ in range(100):
        request = draw(world, rng, rng.choice(TASKS))
        assert refused(world, request) == (request.subject in world.named(True))
        assert refused(world, draw_nonsense(world, rng))


def test_questions_and_answers_are_plain_words() -> None:
    world, rng = build_world(0), random.Random(2)
    for task in TASKS:
        request = draw(world, rng, task)
        for text in (question(world, request), *answers(world, request)):
            assert text == " ".join(text.split())
            assert "{" not in text
            assert text.isascii()
