"""What leaks between prompt sets: near copies, and prompts that read as flipped."""

from dataclasses import replace
from itertools import count

from fulcra import Behavior
from fulcra.behaviors import load_behavior
from fulcra.behaviors.leaks import near_copies, read_as_flipped, shared_words
from fulcra.types import Prompt


def with_confirmation(behavior: Behavior, *texts: str) -> Behavior:
    first, ids = behavior.confirmation[0], count()
    return replace(
        behavior,
        confirmation=tuple(replace(first, id=f"new-{next(ids)}", text=text) for text in texts),
    )


def test_words_are_shared_whatever_their_case_and_order() -> None:
    assert shared_words("Why is the sky blue?", "the sky IS blue, why") == 1
    assert shared_words("Why?", "How?") == 0
    assert shared_words("", "") == 0


def test_a_prompt_that_differs_in_one_word_of_many_is_a_near_copy() -> None:
    behavior = load_behavior("bullets")
    text = behavior.selection[0].text.replace("best", "very best")
    (copy,) = near_copies(with_confirmation(behavior, text))
    assert (copy.first, copy.second) == (behavior.selection[0].id, "new-0")
    assert copy.shared > 0.9


def test_positive_and_negative_prompts_may_be_alike() -> None:
    behavior = load_behavior("bullets")
    alike: Prompt = replace(behavior.negative[0], text=behavior.positive[0].text + " Now.")
    assert not near_copies(replace(behavior, negative=(alike, *behavior.negative[1:])))


def test_a_prompt_whose_echo_would_flip_is_named() -> None:
    behavior = with_confirmation(
        load_behavior("other-city"), "Is Lyon the capital?", "Name the capital of France."
    )
    assert read_as_flipped(behavior) == ("new-0",)


def test_a_request_under_a_policy_is_on_task_by_itself_and_leaks_nothing() -> None:
    assert read_as_flipped(load_behavior("policy")) == ()
