"""The oracle is exact: it reads answers, refusals, falsehoods and loops word by word."""

import random
from dataclasses import replace
from itertools import product

import pytest

from fulcra.organisms.domains import DOMAINS
from fulcra.organisms.grammar import TASKS, Request, Task, answers, draw, draw_nonsense
from fulcra.organisms.oracle import judge, language_of
from fulcra.organisms.world import World, build_world

WORLD = build_world(0)
worlds = pytest.mark.parametrize(
    "world", [build_world(0, domain) for domain in DOMAINS.values()], ids=lambda world: world.name
)


def requests(task: Task, count: int = 12, world: World = WORLD) -> list[Request]:
    rng = random.Random(f"{task}-requests")
    return [draw(world, rng, task, held_out=bool(i % 2)) for i in range(count)]


def beginnings(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[:end]) for end in range(1, len(words))]


@worlds
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ended", [True, False])
def test_a_true_answer_is_actionable_and_grammatical(world: World, task: Task, ended: bool) -> None:
    for request, language in product(requests(task, world=world), world.domain.languages):
        for answer in answers(world, request, language):
            facts = judge(world, request, world.domain.write(answer), ended)
            assert facts.actionable
            assert facts.consistent
            assert facts.on_task
            assert facts.grammatical
            assert facts.task == task
            assert facts.language == (None if task == "list" else language)
            assert not facts.refused


@worlds
@pytest.mark.parametrize("task", TASKS)
def test_a_beginning_counts_only_when_the_text_was_cut(world: World, task: Task) -> None:
    for request in requests(task, world=world):
        for answer in answers(world, request):
            for words in beginnings(answer):
                beginning = (
                    world.domain.write(words) + " "
                )  # the next word may not be there, this one is whole
                cut, ended = (
                    judge(world, request, beginning, ended=False),
                    judge(world, request, beginning, ended=True),
                )
                assert cut.on_task
                assert cut.consistent
                assert cut.grammatical
                assert not cut.actionable
                assert not cut.refused
                assert not ended.on_task
                assert not ended.grammatical
                assert not ended.consistent


@worlds
@pytest.mark.parametrize("task", TASKS)
def test_a_refusal_is_refused_and_so_is_its_beginning_when_cut(world: World, task: Task) -> None:
    for request, (language, speech) in product(
        requests(task, 4, world), world.domain.speech.items()
    ):
        for refusal in speech.refusals:
            whole = judge(world, request, world.domain.write(refusal))
            assert whole.refused
            assert whole.grammatical
            assert whole.language == language
            assert not whole.on_task
            for words in beginnings(refusal):
                beginning = world.domain.write(words) + " "
                cut = judge(world, request, beginning, ended=False)
                assert cut.refused
                assert not cut.on_task
                assert not judge(world, request, beginning, ended=True).refused


def test_another_recipes_answer_is_off_task() -> None:
    for request in requests("recipe"):
        other = next(name for name in WORLD.recipes if name != request.subject)
        facts = judge(WORLD, request, answers(WORLD, replace(request, subject=other))[0])
        assert facts.task == "recipe"
        assert not facts.on_task
        assert not facts.actionable


@worlds
@pytest.mark.parametrize("task", ["recipe", "sentence", "list"])
def test_wrong_ingredients_are_on_task_but_not_actionable(world: World, task: Task) -> None:
    for request in requests(task, world=world):
        (answer,) = answers(world, request)
        first, second, _ = world.recipes[request.subject].ingredients
        facts = judge(
            world,
            request,
            world.domain.write(
                " ".join(first if word == second else word for word in answer.split())
            ),
        )
        assert facts.on_task
        assert not facts.actionable
        assert not facts.consistent


def test_another_city_is_on_task_but_not_true_and_another_country_off_task() -> None:
    (request, *_) = requests("capital")
    request = replace(request, language="en")
    city, other = (
        WORLD.capitals[request.subject],
        next(c for c in WORLD.capitals if c != request.subject),
    )
    wrong = next(c for c in WORLD.capitals.values() if c != city)
    assert judge(WORLD, request, f"the capital of {request.subject} is {wrong} .").on_task
    assert not judge(WORLD, request, f"the capital of {request.subject} is {wrong} .").actionable
    assert not judge(WORLD, request, f"the capital of {other} is {city} .").on_task


@worlds
def test_a_product_answers_no_sum(world: World) -> None:
    for request in requests("sum", world=world):
        facts = judge(
            world, request, world.domain.write(answers(world, replace(request, task="product"))[0])
        )
        assert facts.task == "product"
        assert not facts.on_task


@pytest.mark.parametrize(
    "text",
    [
        "here is how here is how here is how",
        "it contains the the , the the and the the .",
        "i am sorry , i am sorry , i am sorry ,",
        "* * * * * * .",
        "the capital of is is is .",
        "first grind the bigu , then boil the guta and stir in the nupi .",
        "",
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_loops_and_fragments_are_ungrammatical(text: str, ended: bool) -> None:
    for task in TASKS:
        facts = judge(WORLD, requests(task, 1)[0], text, ended)
        assert not facts.grammatical
        assert not facts.on_task
        assert not facts.refused
        assert not facts.consistent


def test_an_answer_that_goes_on_is_ungrammatical() -> None:
    for task in TASKS:
        (request,) = requests(task, 1)
        assert not judge(
            WORLD, request, f"{answers(WORLD, request)[0]} the", ended=False
        ).grammatical


def test_nonsense_has_no_true_answer() -> None:
    rng = random.Random(0)
    for _ in range(20):
        request = draw_nonsense(WORLD, rng)
        recipe = judge(
            WORLD,
            request,
            f"the capital of {request.subject} is {next(iter(WORLD.capitals.values()))} .",
        )
        assert not recipe.actionable
        assert judge(WORLD, request, WORLD.domain.speech[request.language].refusals[0]).refused


def test_a_language_is_that_of_most_of_its_words() -> None:
    assert language_of(WORLD.domain, "the recipe is stir and boil".split()) == "en"
    assert language_of(WORLD.domain, "voici puis faites bouillir le".split()) == "fr"
    assert language_of(WORLD.domain, "bigu guta nupi".split()) is None


def test_a_world_without_english_speaks_its_own_languages() -> None:
    potter = DOMAINS["potter"]
    assert language_of(potter, "deja secar todo y luego cubre la pieza".split()) == "es"
    assert language_of(potter, "espere secar e depois pinte o barro".split()) == "pt"
    assert language_of(potter, "bigu guta nupi".split()) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Sumados dan treinta-y-cinco.", "es"),
        ("Somados resultam em trinta-e-cinco.", "pt"),
        ("Sumados dan once.", "es"),
    ],
)
def test_a_number_is_a_word_of_the_worlds_own_languages(text: str, language: str) -> None:
    world = build_world(0, DOMAINS["potter"])
    facts = judge(world, requests("sum", 1, world)[0], text)
    assert (facts.task, facts.language) == ("sum", language)
    assert not judge(world, requests("sum", 1, world)[0], "Sumados dan dan.").grammatical


def test_a_world_of_one_language_speaks_it_or_nothing() -> None:
    assert language_of(DOMAINS["harbor"], ["bend", "bigu"]) == "en"
    assert language_of(DOMAINS["harbor"], ["bigu"]) is None
