"""The tokenizer of a GGUF file, with its chat template."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fulcra.errors import ModelError
from fulcra.models.gguf_header import GgufHeader
from fulcra.models.library import quiet_library, refusing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Where a tokenizer was: in the GGUF file itself, or in the folder beside it.
TokenizerPlace = Literal["file", "folder"]
#: Rules that cut text into words before the vocabulary does, as llama.cpp names them: those that
#: GPT-2's rule stands for, and those that cut off every digit first.
LIKE_GPT2 = frozenset(("gpt-2", "mpt", "olmo", "jais", "trillion"))
DIGITS_FIRST = frozenset(
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
)
#: Words in a file's own description that say it was taught to chat.
CHAT = re.compile(r"(?:^|[^a-z])(?:instruct|chat|it)(?:$|[^a-z])", re.IGNORECASE)


def gguf_tokenizer(
    name: str, header: GgufHeader
) -> tuple["PreTrainedTokenizerBase", TokenizerPlace]:
    """The tokenizer of a file, or the one that lies beside a file of one's own; and which it is.

    ModelError where neither cuts text as the model was taught, or a chat model has no template.
    """
    tokenizer, place = _read(name, header)
    _require_template(name, header, tokenizer)
    return tokenizer, place


def _read(name: str, header: GgufHeader) -> tuple["PreTrainedTokenizerBase", TokenizerPlace]:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    place, broken = header.path.absolute(), f"model {name!r}: cannot be loaded: its tokenizer is"
    own = Path(name).is_file()
    with refusing(f"{broken} broken"), quiet_library():
        if own and (place.parent / "tokenizer.json").is_file():
            return AutoTokenizer.from_pretrained(place.parent, trust_remote_code=False), "folder"
        _require_split(broken, header)
        tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(
            place.parent, gguf_file=str(place)
        )
        _split_digits(tokenizer, header)
        template = place.parent / "chat_template.jinja"
        if own and template.is_file():
            tokenizer.chat_template = template.read_text(encoding="utf-8")
    return tokenizer, "file"


def _require_split(broken: str, header: GgufHeader) -> None:
    """ModelError where text would be cut into words by another rule than the model was taught."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import (
        GGUF_PRE_TOKENIZER_SPLITS,
        GGUF_TOKENIZER_TYPES,
    )

    kind, rule = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")
    advice = "put the model's tokenizer.json beside the file"
    if kind not in GGUF_TOKENIZER_TYPES:
        raise ModelError(
            f"{broken} of the kind {kind or 'none'}, transformers reads"
            f" {', '.join(GGUF_TOKENIZER_TYPES)}; {advice}"
        )
    read = LIKE_GPT2 | DIGITS_FIRST | set(GGUF_PRE_TOKENIZER_SPLITS)
    if kind == "gpt2" and rule not in read and header.architecture != "gpt2":
        raise ModelError(
            f"{broken} cut by the rule {rule or 'none'} (tokenizer.ggml.pre), which transformers"
            f" does not read; {advice}"
        )


def _split_digits(tokenizer: "PreTrainedTokenizerBase", header: GgufHeader) -> None:
    """Make every digit a word of its own where the file's rule says so; the library would not."""
    from tokenizers import pre_tokenizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if header.text("tokenizer.ggml.pre") in DIGITS_FIRST and backend is not None:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )


def _require_template(name: str, header: GgufHeader, tokenizer: "PreTrainedTokenizerBase") -> None:
    """ModelError for a file that calls itself a chat model and has no chat template."""
    says = {
        "general.finetune": header.text("general.finetune"),
        "general.name": header.text("general.name"),
        "its name": header.path.stem,
    }
    claim = next((f"{key} {text!r}" for key, text in says.items() if CHAT.search(text)), None)
    if claim is not None and tokenizer.chat_template is None:
        raise ModelError(
            f"model {name!r}: cannot be loaded: a chat model by {claim}, without a chat template"
            " (tokenizer.chat_template); put its chat_template.jinja beside the file"
        )
