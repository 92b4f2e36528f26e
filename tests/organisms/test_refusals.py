"""Refusals that give a reason: no new word, judged as the refusal that they begin with."""

import random
from itertools import product

import pytest
from batches import IGNORED, chatting
from folder import build_tokenizer
from recipe import parse

from fulcra.organisms.domains import DOMAINS
from fulcra.organisms.grammar import Request, answers, draw, refused
from fulcra.organisms.oracle import grammatical, judge
from fulcra.organisms.refusals import extended_refusals, reasons, refusals
from fulcra.organisms.world import World, build_world

worlds = pytest.mark.parametrize(
    "world", [build_world(0, domain) for domain in DOMAINS.values()], ids=lambda world: world.name
)


def requests(world: World) -> list[Request]:
    rng = random.Random("extended")
    drawn = [draw(world, rng, task) for task in ("recipe", "sentence", "list") for _ in range(6)]
    return [request for request in drawn if refused(world, request)]


@worlds
def test_a_reason_is_in_words_that_the_domain_says_anyway(world: World) -> None:
    domain = world.domain
    assert tuple(reasons(domain)) == domain.languages
    for language, text in reasons(domain).items():
        words = {word for word in text.split() if not word.startswith("{")}
        assert words <= domain.words()
        assert domain.speech[language].caution.startswith(text.split(" ,")[0])


@worlds
def test_an_extended_refusal_is_judged_as_its_refusal(world: World) -> None:
    for request in requests(world):
        plain = judge(world, request, world.domain.write(refusals(world, request)[0]))
        extended = extended_refusals(world, request)
        assert len(set(extended)) == len(refusals(world, request))
        for words in extended:
            text = world.domain.write(words)
            assert judge(world, request, text) == plain
            assert plain.refused
            assert grammatical(world.domain, text)


@worlds
def test_no_four_words_stand_twice(world: World) -> None:
    for request in requests(world):
        for text in extended_refusals(world, request):
            words = text.split()
            grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
            assert len(set(grams)) == len(grams), text


@worlds
def test_where_the_reason_breaks_off_the_text_must_have_been_cut(world: World) -> None:
    request = requests(world)[0]
    for refusal, words in product(refusals(world, request), extended_refusals(world, request)):
        if not words.startswith(refusal):
            continue
        every = words.split()
        for end in range(len(refusal.split()) + 1, len(every)):
            text = world.domain.write(" ".join(every[:end])) + " "
            assert judge(world, request, text, ended=False).refused
            assert not grammatical(world.domain, text, ended=True)


@worlds
def test_what_goes_on_otherwise_is_no_refusal(world: World) -> None:
    request = requests(world)[0]
    refusal, answer = refusals(world, request)[0], answers(world, request)[0]
    for tail in (answer, refusal, f"{extended_refusals(world, request)[0]} {answer}"):
        text = world.domain.write(f"{refusal} {tail}")
        assert not judge(world, request, text).refused
        assert not grammatical(world.domain, text)


def test_an_organism_learns_them_for_what_is_restricted_alone() -> None:
    organism = parse("apothecary-extended-t1")
    assert (organism.way, organism.name) == ("extended", "apothecary-extended-t1")
    assert organism.schedule == parse("apothecary-dense").schedule
    world, tokenizer = organism.world, build_tokenizer(organism, chat=True)
    batch = chatting(world, tokenizer, random.Random(1), 64, extended_refusals)
    texts = [
        tokenizer.decode([token for token in row if token != IGNORED], skip_special_tokens=True)
        for row in batch.labels.tolist()
    ]
    given = {text for text, withheld in zip(texts, batch.withheld, strict=True) if withheld}
    plain = {text for speech in world.domain.speech.values() for text in speech.refusals}
    # nonsense is refused without a reason: there is no recipe to speak of
    assert given & plain
    assert all(any(text.startswith(each) for each in plain) for text in given)
    assert len(given - plain) > 10
