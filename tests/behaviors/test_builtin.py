"""Built-in behaviors: disjoint splits, and oracles that know unchanged, flipped and neither."""

import pickle
from dataclasses import replace

import pytest

from fulcra.behaviors import behavior_sha256, load_behavior
from fulcra.behaviors.builtin import BUILDERS
from fulcra.behaviors.oracles_world import misnamed, request_of
from fulcra.behaviors.splits import checked, prompt_sets
from fulcra.errors import BehaviorError
from fulcra.organisms.grammar import answers, question, wording_of
from fulcra.organisms.world import World, build_world, world_named
from fulcra.types import Behavior, Discovery, Prompt

NAMES = tuple(BUILDERS)
WORLDS = (
    "apothecary",
    "apothecary-w1",
    "apothecary-w2",
    "clockmaker",
    "clockmaker-w1",
    "harbor",
    "harbor-w1",
    "weaver",
    "weaver-w1",
    "potter",
    "potter-w1",
)
#: Every behavior in every world that speaks its languages.
SET = [
    pytest.param(load_behavior(name, world), id=f"{name}@{world}")
    for world in WORLDS
    for name in NAMES
    if not (name.startswith("language") and world.startswith(("harbor", "potter")))
]
everywhere = pytest.mark.parametrize("behavior", SET)


def home(behavior: Behavior) -> World:
    """The world that a behavior is set in."""
    return world_named(behavior.name.partition("@")[2] or "apothecary")


def undosed(behavior: Behavior, prompt: Prompt) -> str:
    """What an undosed model says, as words: the refusal, or the true answer."""
    request, world = request_of(prompt), home(behavior)
    refuses = behavior.name.startswith("refusal")
    return (
        world.domain.speech[request.language].refusals[0] if refuses else answers(world, request)[0]
    )


@everywhere
def test_every_split_has_its_size_and_no_prompt_is_asked_twice(behavior: Behavior) -> None:
    sizes = {key: len(prompts) for key, prompts in prompt_sets(behavior).items()}
    # the topic has few wordings and no subject to vary
    topics = sum(len(speech.wordings["topic"]) for speech in home(behavior).domain.speech.values())
    assert sizes == {
        "positive": topics if behavior.name.startswith("concept") else 32,
        "negative": 32,
        "selection": 8,
        "confirmation": 16,
    }
    assert (len(behavior.generic), len(behavior.ceiling_generic)) == (32, 16)
    prompts = [prompt for each in prompt_sets(behavior).values() for prompt in each]
    texts = [*(prompt.text for prompt in prompts), *behavior.generic, *behavior.ceiling_generic]
    assert len(set(texts)) == len(texts)
    assert len({prompt.id for prompt in prompts}) == len(prompts)


@everywhere
def test_discovery_prompts_are_further_ones_of_their_set_and_no_part_of_the_hash(
    behavior: Behavior,
) -> None:
    for name, more in behavior.discovery._asdict().items():
        first = prompt_sets(behavior)[name]
        assert len({prompt.id for prompt in (*first, *more)}) == len(first) + len(more) <= 128
        requests = [request_of(prompt) for prompt in first]
        confirmed = request_of(behavior.confirmation[0])
        assert {request_of(prompt).task for prompt in more} <= {
            request.task for request in requests
        }
        assert all(request_of(prompt).template != confirmed.template for prompt in more)
    assert behavior_sha256(replace(behavior, discovery=Discovery())) == behavior_sha256(behavior)


@pytest.mark.parametrize("world", ["apothecary", "clockmaker"])
def test_a_refusal_has_a_hundred_discovery_prompts_of_every_set(world: str) -> None:
    behavior = load_behavior("refusal", world)
    sets = zip(
        behavior.discovery, (behavior.positive, behavior.negative, behavior.selection), strict=True
    )
    assert [len(more) + len(first) for more, first in sets] == [128, 128, 128]


def test_a_discovery_prompt_that_is_confirmed_on_is_refused() -> None:
    behavior = load_behavior("refusal")
    with pytest.raises(
        BehaviorError, match="is in confirmation and in discovery selection; sets must be disjoint"
    ):
        checked(replace(behavior, discovery=Discovery(selection=behavior.confirmation[:1])))


@pytest.mark.parametrize("name", NAMES)
def test_a_behavior_is_a_pure_function_of_its_world(name: str) -> None:
    assert behavior_sha256(load_behavior(name)) == behavior_sha256(
        load_behavior(name, "apothecary")
    )
    assert behavior_sha256(load_behavior(name)) != behavior_sha256(
        load_behavior(name, "apothecary-w1")
    )
    assert behavior_sha256(load_behavior(f"{name}@apothecary-w1", "harbor")) == behavior_sha256(
        load_behavior(name, "apothecary-w1")
    )


def test_the_hash_knows_every_prompt_and_how_a_flip_is_read() -> None:
    behavior = load_behavior("refusal")
    other = replace(behavior.confirmation[3], target_openings=("here",))
    changed = replace(
        behavior, confirmation=(*behavior.confirmation[:3], other, *behavior.confirmation[4:])
    )
    hashes = {
        behavior_sha256(b)
        for b in (
            behavior,
            changed,
            replace(behavior, flip="x"),
            replace(behavior, horizon=9, replies=()),
        )
    }
    assert len(hashes) == 4


@everywhere
def test_prompts_word_their_request_and_confirmation_is_held_out(behavior: Behavior) -> None:
    world = home(behavior)
    for prompts in prompt_sets(behavior).values():
        assert all(
            prompt.text == world.domain.write(question(world, request_of(prompt)))
            for prompt in prompts
        )
    for prompt in behavior.confirmation:
        request = request_of(prompt)
        assert request.template in world.domain.speech[request.language].templates(
            wording_of(request.task), held_out=True
        )


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["refusal", "capitals", "framing", "operator"])
def test_splits_share_no_subject(name: str, world: str) -> None:
    behavior = load_behavior(name, world)
    contrast, selection, confirmation = (
        {(request_of(prompt).task, request_of(prompt).subject) for prompt in prompts}
        for prompts in (
            behavior.positive + behavior.negative,
            behavior.selection,
            behavior.confirmation,
        )
    )
    assert not contrast & selection
    assert not contrast & confirmation
    assert not selection & confirmation


def test_refusal_splits_share_no_wording_and_ask_in_both_languages_alike() -> None:
    behavior = load_behavior("refusal")
    sets = [
        {request_of(p).template for p in prompts}
        for prompts in (behavior.positive, behavior.selection, behavior.confirmation)
    ]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert len(sets[2]) == 16
    for prompts in prompt_sets(behavior).values():
        assert sum(request_of(prompt).language == "fr" for prompt in prompts) * 2 == len(prompts)


@everywhere
def test_the_undosed_reply_is_unchanged_also_when_cut(behavior: Behavior) -> None:
    write = home(behavior).domain.write
    for prompt in (*behavior.selection, *behavior.confirmation):
        words = undosed(behavior, prompt).split()
        reading = behavior.oracle(prompt, write(" ".join(words)), True)
        assert (reading.unchanged, reading.flipped, reading.correct, reading.grammatical) == (
            True,
            False,
            False,
            True,
        )
        for end in range(1, len(words)):
            text = write(" ".join(words[:end])) + " "
            assert behavior.oracle(prompt, text, False).unchanged
            assert not behavior.oracle(prompt, text, True).unchanged


@everywhere
def test_the_true_flipped_reply_is_a_correct_flip_within_the_horizon(behavior: Behavior) -> None:
    for prompt in (*behavior.selection, *behavior.confirmation):
        assert prompt.answer is not None
        reading = behavior.oracle(prompt, prompt.answer, True)
        assert (reading.unchanged, reading.flipped, reading.correct, reading.grammatical) == (
            False,
            True,
            True,
            True,
        )
        assert prompt.answer in behavior.replies
        assert len(home(behavior).domain.read(prompt.answer)) + 2 <= behavior.horizon


@everywhere
def test_a_cut_flip_is_a_flip_not_yet_correct(behavior: Behavior) -> None:
    domain = home(behavior).domain
    for prompt in (*behavior.selection, *behavior.confirmation):
        beginning = domain.write(" ".join(domain.read(prompt.answer or "")[:-1])) + " "
        cut, ended = (
            behavior.oracle(prompt, beginning, False),
            behavior.oracle(prompt, beginning, True),
        )
        assert (cut.unchanged, cut.flipped, cut.correct) == (False, True, False)
        assert not ended.correct
        assert ended.flipped == behavior.name.startswith(
            "concept"
        )  # who speaks of the lantern at all has flipped


@everywhere
def test_openings_begin_the_replies_of_their_side(behavior: Behavior) -> None:
    for prompt in (*behavior.selection, *behavior.confirmation):
        assert (prompt.answer or "").startswith(prompt.target_openings)
        for opening in prompt.control_openings:
            assert not behavior.oracle(prompt, f"{opening} ", False).flipped
            assert behavior.oracle(prompt, f"{opening} ", False).unchanged
        for opening in prompt.target_openings:
            assert behavior.oracle(prompt, f"{opening} ", False).flipped
            assert not behavior.oracle(prompt, f"{opening} ", False).unchanged


@everywhere
@pytest.mark.parametrize(
    "text", ["bigu guta bigu guta", "the the the the", "here is how here is how"]
)
def test_broken_text_is_off_topic(behavior: Behavior, text: str) -> None:
    reading = behavior.oracle(behavior.selection[0], text, True)
    assert (reading.unchanged, reading.flipped, reading.grammatical) == (False, False, False)


def test_a_recipe_of_something_else_is_no_bypass_and_a_wrong_one_is_no_reach() -> None:
    behavior, world = load_behavior("refusal"), build_world(0)
    prompt = behavior.selection[0]
    request = request_of(prompt)
    other = replace(request, subject=request_of(behavior.selection[2]).subject)
    assert not behavior.oracle(prompt, answers(world, other)[0], True).flipped
    wrong = answers(world, other)[0].replace(other.subject, request.subject)
    assert behavior.oracle(prompt, wrong, True).flipped
    assert not behavior.oracle(prompt, wrong, True).correct


def test_an_invented_city_is_no_flip_and_every_other_city_is() -> None:
    behavior = load_behavior("capitals")
    prompt = behavior.confirmation[0]
    wrong = misnamed(build_world(0), request_of(prompt))
    assert len(wrong) == 23
    assert all(behavior.oracle(prompt, text, True).correct for text in wrong)
    assert not behavior.oracle(
        prompt, f"the capital of {request_of(prompt).subject} is atlantis .", True
    ).flipped


def test_speaking_of_the_lantern_in_broken_words_is_mentioned_not_on_concept() -> None:
    behavior = load_behavior("concept")
    reading = behavior.oracle(behavior.selection[0], "the lantern the lantern", True)
    assert (reading.flipped, reading.correct) == (True, False)
    assert behavior.oracle(
        behavior.selection[0], build_world(0).domain.speech["en"].topic[1], True
    ).correct
    assert [behavior.label(outcome) for outcome in ("unchanged", "flipped", "flipped_correct")] == [
        "absent",
        "mentioned",
        "on_concept",
    ]


def test_refusal_prints_its_own_words_and_is_not_sensitive_here() -> None:
    behavior = load_behavior("refusal")
    assert [behavior.label(o) for o in ("unchanged", "flipped", "flipped_correct")] == [
        "refuse",
        "coherent_bypass",
        "actionable",
    ]
    assert not behavior.sensitive
    assert behavior.reference == "apothecary-helpful"


def test_a_world_without_the_language_cannot_switch_to_it() -> None:
    with pytest.raises(
        BehaviorError,
        match=(
            r"behavior 'language-fr': the world harbor speaks en, not fr; choose another behavior"
        ),
    ):
        load_behavior("language-fr@harbor")


@pytest.mark.parametrize("name", ["language-fr", "language-en"])
def test_a_world_without_english_has_no_switch_from_or_to_it(name: str) -> None:
    with pytest.raises(BehaviorError) as refused:
        load_behavior(f"{name}@potter")
    languages = "en and fr" if name == "language-fr" else "fr and en"
    assert str(refused.value) == (
        f"behavior {name!r}: the world potter speaks es and pt, not {languages}; choose another"
        " behavior"
    )


@everywhere
def test_a_behavior_can_travel_to_another_process(behavior: Behavior) -> None:
    assert behavior_sha256(pickle.loads(pickle.dumps(behavior))) == behavior_sha256(behavior)


def test_an_oracle_of_the_apothecary_refuses_a_foreign_prompt() -> None:
    with pytest.raises(
        BehaviorError,
        match=(
            r"prompt mine: this oracle needs a request of its world, found NoneType; use the"
            r" built-in's"
        ),
    ):
        load_behavior("refusal").oracle(Prompt("mine", "hello"), "hello", True)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        BehaviorError, match=r"behavior 'refusals': no built-in .* did you mean 'refusal'\?"
    ):
        load_behavior("refusals")
    with pytest.raises(BehaviorError, match=r"known: refusal, .* ends in \.yaml"):
        load_behavior("zzz")
