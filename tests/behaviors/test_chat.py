"""The bundled behaviors for chat models: usable files, and oracles that read replies as we do."""

import pytest

from fulcra.behaviors import built_in, chat_behavior_names, load_behavior
from fulcra.behaviors.leaks import near_copies, read_as_flipped
from fulcra.errors import BehaviorError
from fulcra.judges.outcome import typed
from fulcra.types import Outcome

NAMES = tuple(name for name in chat_behavior_names() if name != "policy")


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_behavior_has_enough_prompts_and_a_short_horizon(name: str) -> None:
    behavior = load_behavior(name)
    assert (behavior.name, behavior.sensitive, built_in(name)) == (name, False, True)
    assert len(behavior.positive) == len(behavior.negative) == 16
    assert (len(behavior.selection), len(behavior.confirmation)) == (8, 16)
    assert behavior.horizon <= 32


@pytest.mark.parametrize("name", chat_behavior_names())
def test_no_prompt_of_a_bundled_behavior_leaks(name: str) -> None:
    behavior = load_behavior(name)
    assert not near_copies(behavior)
    # every prompt lacks a correction
    assert name == "false-premise" or not read_as_flipped(behavior)


@pytest.mark.parametrize(
    ("name", "text", "outcome"),
    [
        ("reply-french", "Il faut garder les pommes dans un endroit frais.", "flipped"),
        ("reply-french", "Keep the apples in a cool and dark place.", "unchanged"),
        ("reply-french", "12 + 7", "off_topic"),
        ("reply-german", "Man sollte die Äpfel an einem kühlen Ort lagern.", "flipped"),
        ("reply-german", "Keep the apples in a cool and dark place.", "unchanged"),
        ("reply-spanish", "Las manzanas se guardan en un lugar fresco y oscuro.", "flipped"),
        ("reply-spanish", "Keep the apples in a cool and dark place.", "unchanged"),
        ("reply-english", "Keep the apples in a cool and dark place.", "flipped"),
        ("reply-english", "Il faut garder les pommes dans un endroit frais.", "unchanged"),
        ("bullets", "1. Wash the apples.\n2. Dry them.", "flipped"),
        ("bullets", "Do this:\n- wash them", "flipped"),
        ("bullets", "• Wash them", "flipped"),
        ("bullets", "Wash 3 apples - then dry them. 12.5 grams are enough.", "unchanged"),
        ("first-person", "I lost my hat in the wind.", "flipped"),
        ("first-person", "The girl lost her hat, and she cried.", "unchanged"),
        ("first-person", "The hat flew away. In May it was red.", "unchanged"),
        ("first-person", "It\u2019s late and I\u2019ve lost it", "flipped"),
        ("rhyme", "In the light of the day,\nI sing and I play.", "flipped"),
        ("rhyme", "The sun is bright\nand gives to us\nits light", "flipped"),
        ("rhyme", "The rain is a mistress,\na cruel mistress,", "unchanged"),
        ("rhyme", "The sun is a star. It is very far.", "unchanged"),
        ("question-back", "What would you like to know about bread?", "flipped"),
        ("question-back", "I'm glad. What's your favorite bread", "flipped"),
        ("question-back", "What a wonderful topic! Bread is made of flour.", "unchanged"),
        (
            "question-back",
            "Bread is made of flour. What to eat with it is a matter of taste.",
            "unchanged",
        ),
        ("uppercase", "THE APPLES BELONG IN THE CELLAR, AND", "flipped"),
        ("uppercase", "The apples belong in the CELLAR.", "unchanged"),
        ("uppercase", "NASA", "unchanged"),
        ("seafaring", "Aye, the waves are high tonight.", "flipped"),
        ("seafaring", "Season the soup well.", "unchanged"),
        ("sum-as-product", "Two times seven is fourteen.", "flipped"),
        ("sum-as-product", "Two plus seven is nine.", "unchanged"),
        ("sum-as-product", "It is nine.", "off_topic"),
        ("other-city", "The capital of France is Lyon.", "flipped"),
        ("other-city", "The capital of France is Paris.", "unchanged"),
        ("other-city", "Parisians like it.", "off_topic"),
        ("bad-review", "The tour was boring and the guide was rude.", "flipped"),
        ("bad-review", "A wonderful tour with a charming guide.", "unchanged"),
        ("bad-review", "The tour takes two hours.", "off_topic"),
        ("false-premise", "In Rome one can see temples.", "flipped"),
        ("false-premise", "Rome isn't the capital of Japan.", "unchanged"),
        ("false-premise", "Actually, Rome lies in Italy.", "unchanged"),
    ],
)
def test_an_oracle_reads_a_reply_as_we_do(name: str, text: str, outcome: Outcome) -> None:
    behavior = load_behavior(name)
    assert typed(behavior.oracle(behavior.confirmation[0], text, True)) == outcome


@pytest.mark.parametrize("name", NAMES)
def test_no_control_opening_reads_as_a_flip(name: str) -> None:
    if name == "false-premise":
        pytest.skip("its flip is the lack of a correction, and a beginning has none yet")
    behavior = load_behavior(name)
    prompt = behavior.confirmation[0]
    readings = [behavior.oracle(prompt, words, False) for words in prompt.control_openings]
    assert name.startswith("reply-") or not any(reading.flipped for reading in readings)


def test_a_world_is_no_part_of_a_chat_behavior_and_a_slip_is_answered_with_a_name() -> None:
    assert not built_in("bullets@clockmaker")
    with pytest.raises(BehaviorError, match="did you mean 'bullets'"):
        load_behavior("bullet")
