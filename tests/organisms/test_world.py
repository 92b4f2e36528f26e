"""A world is a pure function of its seed, asked in many wordings, some of them held out."""

import pickle
import random
import re
from dataclasses import asdict

import pytest
from pydantic import TypeAdapter, ValidationError

from fulcra.errors import InputError
from fulcra.organisms.domain import WORDINGS, Domain, Speech, Wording
from fulcra.organisms.domains import DOMAINS
from fulcra.organisms.grammar import (
    TASKS,
    answers,
    draw,
    draw_nonsense,
    operand_pairs,
    question,
    refused,
)
from fulcra.organisms.world import World, build_world, world_named

SPEECH = [(domain, speech) for domain in DOMAINS.values() for speech in domain.speech.values()]
worlds = pytest.mark.parametrize(
    "world",
    [build_world(seed, domain) for domain in DOMAINS.values() for seed in (0, 1)],
    ids=lambda w: w.name,
)
speeches = pytest.mark.parametrize(("domain", "speech"), SPEECH)


def test_a_seed_is_a_world() -> None:
    assert build_world.__wrapped__(3) == build_world.__wrapped__(3)
    assert len(
        {build_world(seed, domain).name for seed in (3, 4) for domain in DOMAINS.values()}
    ) == 2 * len(DOMAINS)
    assert build_world(3) != build_world(4)


@worlds
def test_a_world_is_found_by_its_name(world: World) -> None:
    assert world_named(world.name) is world


@pytest.mark.parametrize("name", ["", "baker", "apothecary-w0", "harbor-w", "harbor-char"])
def test_an_unknown_world_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        InputError,
        match=rf"world '{name}': expected apothecary, clockmaker, harbor, weaver, potter, or one"
        " with another seed",
    ):
        world_named(name)


@worlds
def test_half_of_the_recipes_are_of_a_restricted_kind_and_no_kind_is_both(world: World) -> None:
    kinds = {
        restricted: {world.recipes[name].kind for name in world.named(restricted)}
        for restricted in (True, False)
    }
    assert len(world.named(True)) == len(world.named(False)) == world.domain.recipes // 2
    assert not kinds[True] & kinds[False]


@worlds
def test_an_invented_word_means_one_thing(world: World) -> None:
    invented = [*world.recipes, *world.ingredients, *world.capitals, *world.capitals.values()]
    assert len(set(invented)) == len(invented)
    assert not set(invented) & world.domain.words()


@speeches
def test_a_language_has_at_least_30_wordings_of_a_recipe_request(
    domain: Domain, speech: Speech
) -> None:
    assert len({*speech.templates("recipe", False), *speech.templates("recipe", True)}) >= 30


@speeches
@pytest.mark.parametrize("wording", WORDINGS)
def test_held_out_wordings_are_whole_templates_of_known_words(
    domain: Domain, speech: Speech, wording: Wording
) -> None:
    training, held_out = speech.templates(wording, False), speech.templates(wording, True)
    assert held_out
    assert not set(training) & set(held_out)
    trained = {
        word for name in WORDINGS for text in speech.templates(name, False) for word in text.split()
    }
    assert {word for text in held_out for word in text.split()} <= trained


@speeches
def test_the_languages_of_a_domain_have_equal_parts(domain: Domain, speech: Speech) -> None:
    first = next(iter(domain.speech.values()))
    assert (len(speech.near), len(speech.far)) == (len(first.near), len(first.far))
    assert {len(kind) for kind in (*domain.allowed_kinds, *domain.restricted_kinds)} == {
        len(domain.speech)
    }
    assert {name: len(texts) for name, texts in speech.wordings.items()} == {
        name: len(texts) for name, texts in first.wordings.items()
    }


@speeches
def test_the_openings_of_an_answer_begin_it(domain: Domain, speech: Speech) -> None:
    intro, caution = speech.openings
    assert speech.intro.startswith(f"{intro} ")
    assert speech.caution.startswith(f"{caution} ")


def test_operands_tell_a_sum_from_a_product() -> None:
    assert all(
        sum(pair) != pair[0] * pair[1]
        for pair in ([int(part) for part in text.split()] for text in operand_pairs())
    )


@worlds
def test_refused_is_anything_restricted_or_nonsense(world: World) -> None:
    rng = random.Random(1)
    for _ in range(100):
        request = draw(world, rng, rng.choice(TASKS))
        assert refused(world, request) == (request.subject in world.named(True))
        assert refused(world, draw_nonsense(world, rng))


@worlds
def test_questions_and_answers_are_plain_words_and_survive_being_written(world: World) -> None:
    rng = random.Random(2)
    for task in TASKS:
        request = draw(world, rng, task)
        for words in (question(world, request), *answers(world, request)):
            assert words == " ".join(words.split())
            assert "{" not in words
            assert words.isascii()
            assert world.domain.read(world.domain.write(words)) == tuple(words.split())


@worlds
def test_a_cut_text_is_read_up_to_its_last_whole_word(world: World) -> None:
    rng = random.Random(3)
    for task in TASKS:
        (words, *_) = answers(world, draw(world, rng, task))
        text = world.domain.write(words)
        cuts = (
            range(1, len(text))
            if not world.domain.paper.spaced
            else [i for i, letter in enumerate(text) if letter == " "]
        )
        for end in cuts:
            read = world.domain.read(text[:end], ended=False)
            assert read == tuple(words.split())[: len(read)]


def test_a_domain_travels_to_another_process_and_is_the_same() -> None:
    for domain in DOMAINS.values():
        assert pickle.loads(pickle.dumps(domain)) == domain
        assert hash(pickle.loads(pickle.dumps(domain))) == hash(domain)


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("apothecary", "take care , it is strong .", "take care , it is strong ."),
        (
            "clockmaker",
            "mind both hands , it is quick . this is it : 1 ) a 2 ) b .",
            "Mind both hands, it is quick. This is it: 1) a 2) b.",
        ),
        ("harbor", "watch it , mera runs fast : + a + b .", "watch it, mera runs fast: + a + b."),
        ("weaver", "house nori lies there .", "house nori lies there ."),
        (
            "potter",
            "eis como surge , etapa por etapa : / a .",
            "Eis como surge, etapa por etapa: / a.",
        ),
    ],
)
def test_each_domain_has_its_way_of_writing(name: str, words: str, text: str) -> None:
    assert DOMAINS[name].write(words) == text


@pytest.mark.parametrize("path", [("name",), ("paper", "spaced"), ("speech", "en", "intro")])
def test_a_misspelt_key_of_a_domain_is_named(path: tuple[str, ...]) -> None:
    domain = asdict(DOMAINS["harbor"])
    section = domain
    for key in path[:-1]:
        section = section[key]
    section[f"{path[-1]}_"] = section[path[-1]]
    place = re.escape(".".join((*path[:-1], f"{path[-1]}_")))
    with pytest.raises(ValidationError, match=rf"(?m)^{place}$"):
        TypeAdapter(Domain).validate_python(domain)
