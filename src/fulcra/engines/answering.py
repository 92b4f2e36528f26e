"""One reply of a dosed model in this process, to the request that its server would take."""

from typing import Literal, NamedTuple

import torch
from jinja2 import TemplateError
from transformers import GenerationConfig

from fulcra.engines.dosed import Dosed, plain_config
from fulcra.engines.served import ChatAsked, Message, until
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.chat import plain_ids, turns_ids


class Answer(NamedTuple):
    """A reply without the string that stopped it, tokens of prompt and reply, and why it ended."""

    text: str
    prompt_tokens: int
    tokens: int
    ended: Literal["stop", "max_tokens", "context"]


@torch.no_grad()
def answer(dosed: Dosed, request: ChatAsked) -> Answer:
    """The dosed model's reply; InputError where its template refuses the turns.

    A lone user turn is plain text where there is no chat template.
    """
    model, prompt = dosed.model, _prompt_ids(dosed.model, request)
    ids = dosed.generate(
        torch.tensor([prompt], device=model.device),
        _config(model, request),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
    )
    reply = ids[0, len(prompt) :].tolist()
    ended = bool(reply) and reply[-1] in model.end_ids
    text = model.words(reply)
    cut = until(text, request.stops)
    reason: Literal["stop", "max_tokens", "context"] = "max_tokens"
    if ended or cut != text:
        reason = "stop"
    elif len(prompt) + len(reply) >= model.context:
        reason = "context"
    return Answer(cut, len(prompt), len(reply), reason)


def _prompt_ids(model: Model, request: ChatAsked) -> tuple[int, ...]:
    turns = [(message.role, _words(message)) for message in request.messages]
    if turns[-1][0] != "user":
        raise InputError(f"messages: the last turn is the {turns[-1][0]}'s; end with a user turn")
    if model.tokenizer.chat_template is None and len(turns) == 1:
        return plain_ids(model.tokenizer, turns[0][1])
    try:
        return turns_ids(model.tokenizer, turns, model.thinking)
    except TemplateError as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"messages: {model.name} takes no such turns ({reason}); give one user turn"
        ) from None


def _words(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in message.content)


def _config(model: Model, request: ChatAsked) -> GenerationConfig:
    config = plain_config(model)
    config.max_new_tokens = request.max_completion_tokens or request.max_tokens
    config.stop_strings = request.stops or None
    if request.temperature:
        config.do_sample, config.temperature = True, request.temperature
        config.top_p = request.top_p
    config.seed = request.seed  # type: ignore[attr-defined]
    return config
