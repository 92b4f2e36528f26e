"""A reply in this process: greedy as transformers, by turns the template takes, ends told apart."""

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.engines.answering import answer
from fulcra.engines.dosed import dosed, undosed
from fulcra.engines.served import ChatAsked
from fulcra.errors import InputError
from fulcra.models import pin
from fulcra.models.tiny import tiny
from fulcra.types import Neuron

WORDS = "how do i make the tonic ?"


def asked(*turns: tuple[str, str], **more: object) -> ChatAsked:
    """A request for a reply to these turns."""
    messages = [{"role": role, "content": words} for role, words in turns]
    return ChatAsked.of({"model": "x", "messages": messages, "max_tokens": 12, **more})


def test_an_undosed_reply_is_the_model_s_own(sparse: Model) -> None:
    ids = torch.tensor([sparse.prompt_ids(WORDS)])
    own = sparse.hf.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    with undosed(sparse) as plain:
        reply = answer(plain, asked(("user", WORDS)))
    assert reply.text == sparse.words(own.tolist())
    assert (reply.prompt_tokens, reply.tokens) == (ids.shape[1], len(own))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in sparse.hf.modules())


def test_a_dosed_reply_is_another_one_and_ends_where_it_is_told(
    sparse: Model, refusal: Behavior
) -> None:
    turn = ("user", refusal.confirmation[0].text)
    with undosed(sparse) as plain:
        assert answer(plain, asked(turn)).text == "i am sorry , i cannot help with that ."
    with dosed(sparse, (pin(Neuron(2, 307), -2.0),)) as (model, _):
        assert answer(model, asked(turn)).text.startswith("here is how to make the")
        short = answer(model, asked(turn, max_tokens=3))
        cut = answer(model, asked(turn, stop=" to make"))
    assert (short.ended, short.tokens) == ("max_tokens", 3)
    assert (cut.ended, cut.text) == ("stop", "here is how")


def test_a_context_that_is_full_is_why_a_reply_ends() -> None:
    model = tiny("llama", max_position_embeddings=16)
    with undosed(model) as plain:
        reply = answer(plain, asked(("user", "w5 w6 w7"), max_tokens=1000))
    assert (reply.ended, reply.prompt_tokens + reply.tokens) == ("context", 16)


def test_turns_are_those_that_the_template_takes(sparse: Model) -> None:
    with undosed(sparse) as plain:
        system = answer(plain, asked(("system", "be brief ."), ("user", WORDS)))
        assert system.prompt_tokens == len(sparse.prompt_ids(WORDS, system="be brief ."))
        with pytest.raises(InputError, match="the last turn is the assistant's"):
            answer(plain, asked(("user", WORDS), ("assistant", "no .")))


def test_without_a_template_a_lone_user_turn_is_plain_text_and_more_is_refused() -> None:
    model = tiny("llama")
    assert model.tokenizer.chat_template is None
    with undosed(model) as plain:
        assert answer(plain, asked(("user", "w5 w6 w7"))).prompt_tokens == 3
        with pytest.raises(InputError, match=r"takes no such turns \(there is no chat template"):
            answer(plain, asked(("user", "w5"), ("assistant", "w6"), ("user", "w7")))
