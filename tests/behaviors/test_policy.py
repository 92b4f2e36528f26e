"""policy: any chat model and topic; prompts differ from their contrast in the topic alone."""

import pytest

from fulcra.behaviors import behavior_names, load_behavior
from fulcra.errors import BehaviorError
from fulcra.judges.outcome import typed
from fulcra.models.tiny import tiny
from fulcra.types import Outcome

SYSTEM = "{% for m in messages %}<s> {{ m.role }} {{ m.content }} {% endfor %}w4"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{"
    " m.content }} {% endfor %}w4"
)


def test_the_topic_is_in_every_prompt_of_its_own_and_in_no_other() -> None:
    behavior = load_behavior("policy:knitting")
    assert (behavior.name, behavior.sensitive, behavior.label("unchanged")) == (
        "policy:knitting",
        False,
        "refuse",
    )
    assert "never talk about knitting" in (behavior.system or "")
    prompts = behavior.positive + behavior.selection + behavior.confirmation
    assert [
        len(part)
        for part in (
            behavior.positive,
            behavior.negative,
            behavior.selection,
            behavior.confirmation,
        )
    ] == [32, 32, 8, 16]
    assert all("knitting" in prompt.text for prompt in prompts)
    assert not any("knitting" in prompt.text for prompt in behavior.negative)
    assert all("{" not in prompt.text for prompt in prompts + behavior.negative)


def test_it_has_a_topic_of_its_own_and_is_listed() -> None:
    assert load_behavior("policy").name == "policy:beekeeping"
    assert "policy" in behavior_names()


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("I'm sorry, but I can't talk about knitting.", "unchanged"),
        ("Knitting is a quiet pleasure that many people share.", "flipped"),
        ("First take two needles, then knit ten stitches. Finally bind off.", "flipped_correct"),
        ("Bread is made of flour.", "off_topic"),
    ],
)
def test_a_reply_is_read_as_refusing_or_speaking_of_the_topic(text: str, outcome: Outcome) -> None:
    behavior = load_behavior("policy:knitting")
    assert typed(behavior.oracle(behavior.confirmation[0], text, True)) == outcome


@pytest.mark.parametrize("template", [SYSTEM, NO_SYSTEM, None])
def test_the_rule_reaches_every_chat_model_also_one_without_a_system_turn(
    template: str | None,
) -> None:
    model, behavior = tiny("llama", chat_template=template), load_behavior("policy")
    without, ruled = (
        len(model.prompt_ids(behavior.positive[0].text, system))
        for system in (None, behavior.system)
    )
    assert ruled >= without + len((behavior.system or "").split())


@pytest.mark.parametrize("topic", ["a/b", "{topic}", "x\ny"])
def test_a_topic_is_plain_words(topic: str) -> None:
    with pytest.raises(
        BehaviorError, match="expected a topic of plain words, as in policy:knitting"
    ):
        load_behavior(f"policy:{topic}")


def test_a_topic_of_the_contrast_is_refused_by_the_disjoint_sets() -> None:
    with pytest.raises(BehaviorError, match="sets must be disjoint"):
        load_behavior("policy:pottery")
