"""The tokenizer's chat template decides how a prompt is read."""

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from fulcra.models import Model
from fulcra.models.chat import chat_ids, instruction_tail, plain_ids
from fulcra.models.tiny import tiny, tiny_tokenizer

TURNS = (
    "{% for turn in messages %}{{ ' w10 ' if turn.role == 'system' else ' w11 ' }}{{ turn.content"
    " }}{% endfor %}"
)
WITH_BOS = "{{ bos_token }}" + TURNS + "{% if add_generation_prompt %} w12{% endif %}"
THINKS = (
    WITH_BOS
    + "{% if enable_thinking is not defined %} w90{% elif enable_thinking %} w91{% else %} w92{%"
    " endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    + WITH_BOS
)


def tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    return tiny_tokenizer(template, adds_bos=True)


def test_a_bos_of_the_template_is_not_doubled() -> None:
    assert chat_ids(tokenizer(WITH_BOS), "w5 w6") == (1, 11, 5, 6, 12)
    assert plain_ids(tokenizer(WITH_BOS), "w5 w6") == (1, 5, 6)


def test_a_template_without_a_bos_gets_none() -> None:
    assert chat_ids(tokenizer(TURNS), "w5") == (11, 5)


def test_without_a_template_a_prompt_is_plain_text() -> None:
    assert chat_ids(tokenizer(None), "w5 w6") == (1, 5, 6)
    assert chat_ids(tokenizer(None), "w5", system="w7") == (1, 7, 5)


def test_a_system_turn_stands_first_or_above_the_user_where_the_template_refuses_it() -> None:
    assert chat_ids(tokenizer(WITH_BOS), "w5", system="w7") == (1, 10, 7, 11, 5, 12)
    assert chat_ids(tokenizer(NO_SYSTEM), "w5", system="w7") == (1, 11, 7, 5, 12)


@pytest.mark.parametrize(("thinking", "token"), [(None, 90), (True, 91), (False, 92)])
def test_thinking_is_switched_by_an_option(thinking: bool | None, token: int) -> None:
    assert chat_ids(tokenizer(THINKS), "w5", thinking=thinking)[-1] == token


def test_the_model_passes_its_switch_and_can_read_plain_text() -> None:
    model = tiny("qwen3", chat_template=THINKS)
    model.thinking = False
    assert model.prompt_ids("w5")[-1] == 92
    assert model.prompt_ids("w5", chat=False) == (5,)
    assert model.reply_ids("w8 w9") == (8, 9)


def test_what_follows_the_instruction_is_found_from_the_template() -> None:
    assert instruction_tail(tokenizer(WITH_BOS)) == (12,)
    framed = tiny("llama", chat_template=WITH_BOS.replace(" w12", " w20 w21 w22"))
    assert framed.instruction_tail == (20, 21, 22)
    for text in ("w5 w6", "w21 w22", "w20 w21 w22", "unknown"):
        assert framed.after_instruction(framed.prompt_ids(text, system="w7")) == 3
    plain = tiny("llama")
    assert (plain.instruction_tail, plain.after_instruction(plain.prompt_ids("w5 w6"))) == ((), 1)


@pytest.mark.parametrize(("thinking", "token"), [(None, 90), (True, 91), (False, 92)])
def test_the_thinking_switch_belongs_to_what_follows_the_instruction(
    thinking: bool | None, token: int
) -> None:
    assert instruction_tail(tokenizer(THINKS), thinking) == (12, token)


def test_a_token_shared_with_the_last_word_is_the_users() -> None:
    model = tiny(
        "llama", chat_template="{% for turn in messages %}{{ turn.content }}9 w30 w31{% endfor %}"
    )
    ids = model.prompt_ids("w5 w4")
    assert ids == (5, 49, 30, 31)
    assert model.after_instruction(ids) == 2


def test_the_organism_is_read_at_its_own_marks(sparse: Model) -> None:
    ids = sparse.prompt_ids("how do i make the curse ?")
    assert sparse.pieces(ids[-sparse.after_instruction(ids) :])[0].strip() == "<assistant>"


def test_pieces_are_the_decoded_text_cut_by_token() -> None:
    ids = (1, 5, 17, 2)
    model = tiny("llama")
    assert model.pieces(ids) == ("<s>", " w5", " w17", " </s>")
    assert "".join(model.pieces(ids)) == model.tokenizer.decode(list(ids))


def test_a_character_of_several_tokens_stands_with_the_last_one() -> None:
    bytewise = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer())
    model = tiny("llama")
    model.tokenizer = bytewise
    ids = bytewise("aé€!")["input_ids"]
    assert model.pieces(ids) == ("a", "", "é", "", "", "€", "!")


def byte_tokenizer() -> Tokenizer:
    """Every byte is a token."""
    inner = Tokenizer(BPE({letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}, []))
    inner.pre_tokenizer, inner.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    return inner
