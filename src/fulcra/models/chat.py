"""Prompts as the model was taught to read them, by the tokenizer's chat template."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def shared_start(rows: Sequence[Sequence[Any]]) -> int:
    """How many first tokens (or characters) all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


def plain_ids(
    tokenizer: "PreTrainedTokenizerBase", text: str, system: str | None = None
) -> tuple[int, ...]:
    """Token ids of plain text, with the special tokens the tokenizer itself puts around it."""
    return tuple(tokenizer(text if system is None else f"{system}\n{text}")["input_ids"])


def chat_ids(
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    system: str | None = None,
    thinking: bool | None = None,
) -> tuple[int, ...]:
    """Token ids of one user turn with the generation prompt.

    Plain text where there is no chat template. Special tokens come from the template alone, so a
    BOS is never doubled. `thinking` is passed to the template as `enable_thinking`; None leaves it
    to the template. A template that refuses a system turn gets it above the user's words.
    """
    if tokenizer.chat_template is None:
        return plain_ids(tokenizer, text, system)
    rendered = _rendered(tokenizer, text, system, thinking)
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def instruction_tail(
    tokenizer: "PreTrainedTokenizerBase", thinking: bool | None = None
) -> tuple[int, ...]:
    """The tokens a chat template puts after the user's words; none without a template.

    They are what two rendered texts end alike in.
    """
    if tokenizer.chat_template is None:
        return ()
    left, right = (_rendered(tokenizer, text, None, thinking) for text in ("a", "b"))
    after = left[len(left) - shared_start([left[::-1], right[::-1]]) :]
    return tuple(tokenizer(after, add_special_tokens=False)["input_ids"])


def _rendered(
    tokenizer: "PreTrainedTokenizerBase", text: str, system: str | None, thinking: bool | None
) -> str:
    switch: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
    if system is None:
        return _templated(tokenizer, [("user", text)], switch)
    try:
        return _templated(tokenizer, [("system", system), ("user", text)], switch)
    except TemplateError:
        return _templated(tokenizer, [("user", f"{system}\n\n{text}")], switch)


def exchange_ids(tokenizer: "PreTrainedTokenizerBase", request: str, reply: str) -> tuple[int, ...]:
    """Token ids of a user turn and its reply, as guard models read them.

    With the generation prompt; two lines without a template.
    """
    if tokenizer.chat_template is None:
        return plain_ids(tokenizer, reply, request)
    words = _templated(tokenizer, [("user", request), ("assistant", reply)], {})
    return tuple(tokenizer(words, add_special_tokens=False)["input_ids"])


def _templated(
    tokenizer: "PreTrainedTokenizerBase", turns: list[tuple[str, str]], switch: dict[str, Any]
) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return str(
        tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **switch
        )
    )
