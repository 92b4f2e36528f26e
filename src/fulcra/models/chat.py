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
    turns = [("user", text)] if system is None else [("system", system), ("user", text)]
    return turns_ids(tokenizer, turns, thinking)


def turns_ids(
    tokenizer: "PreTrainedTokenizerBase",
    turns: Sequence[tuple[str, str]],
    thinking: bool | None = None,
) -> tuple[int, ...]:
    """Token ids of a conversation of (role, words) with the generation prompt, as `chat_ids`.

    jinja2's TemplateError where the template refuses the turns, and where there is none.
    """
    if tokenizer.chat_template is None:
        raise TemplateError("there is no chat template")
    rendered = _rendered(tokenizer, turns, thinking)
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def instruction_tail(
    tokenizer: "PreTrainedTokenizerBase", thinking: bool | None = None
) -> tuple[int, ...]:
    """The tokens a chat template puts after the user's words; none without a template.

    They are what two rendered texts end alike in.
    """
    if tokenizer.chat_template is None:
        return ()
    left, right = (_rendered(tokenizer, [("user", text)], thinking) for text in ("a", "b"))
    after = left[len(left) - shared_start([left[::-1], right[::-1]]) :]
    return tuple(tokenizer(after, add_special_tokens=False)["input_ids"])


def _rendered(
    tokenizer: "PreTrainedTokenizerBase",
    turns: Sequence[tuple[str, str]],
    thinking: bool | None,
) -> str:
    switch: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
    try:
        return _templated(tokenizer, turns, switch)
    except TemplateError:
        if [role for role, _ in turns[:2]] != ["system", "user"]:
            raise
        (_, system), (_, text), *rest = turns
        return _templated(tokenizer, [("user", f"{system}\n\n{text}"), *rest], switch)


def exchange_ids(tokenizer: "PreTrainedTokenizerBase", request: str, reply: str) -> tuple[int, ...]:
    """Token ids of a user turn and its reply, as guard models read them.

    With the generation prompt; two lines without a template.
    """
    if tokenizer.chat_template is None:
        return plain_ids(tokenizer, reply, request)
    words = _templated(tokenizer, [("user", request), ("assistant", reply)], {})
    return tuple(tokenizer(words, add_special_tokens=False)["input_ids"])


def _templated(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[tuple[str, str]], switch: dict[str, Any]
) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return str(
        tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **switch
        )
    )
