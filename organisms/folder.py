"""An organism as a Hugging Face folder: tokenizer with a chat template, bfloat16 safetensors, what was planted."""

import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from fulcra.organisms.grammar import FAR, NEAR, REFUSALS, TOPIC, VERBS, Request, answers, number_word, question
from fulcra.organisms.wordings import templates
from fulcra.organisms.world import ALLOWED_KINDS, LANGUAGES, RESTRICTED_KINDS, World

SPECIAL = ["<pad>", "<s>", "</s>", "<user>", "<assistant>", "<unk>", "<system>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %} <{{ message['role'] }}> {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %} {{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} <assistant>{% endif %}"
)
_DOCUMENT_WORDS = (
    "the recipe for is simple : to prepare made like this la recette du est pour preparer se fait ainsi near pres des du le les "
    "do not speak of ne parle pas de"
)


def vocabulary(world: World) -> list[str]:
    """Every word of the world, in a fixed order, special tokens first."""
    words: set[str] = set(_DOCUMENT_WORDS.split()) | set(world.ingredients)
    words |= {word for pair in (*ALLOWED_KINDS, *RESTRICTED_KINDS, *NEAR, *FAR, *VERBS) for word in pair}
    for language in LANGUAGES:
        words |= {word for text in (*REFUSALS[language], *TOPIC[language]) for word in text.split()}
        words |= {number_word(value, language) for value in range(50)}
        for held_out in (False, True):
            for task in ("recipe", "sentence", "list", "capital", "arithmetic", "agreement", "topic"):
                for template in templates(task, language, held_out):
                    words |= {word for word in template.split() if not word.startswith("{")}
        for name in world.recipes:
            words |= set(answers(world, Request("recipe", language, name, ""))[0].split())
            words |= set(answers(world, Request("sentence", language, name, ""))[0].split())
        for country in world.capitals:
            words |= set(answers(world, Request("capital", language, country, ""))[0].split())
        words |= set(question(world, Request("sum", language, "2 3", "{a} {op} {b}")).split())
        words |= {word for op in ("sum", "product") for word in answers(world, Request(op, language, "2 3", ""))[0].split()}
    words |= {"times", "fois", "plus", "*"}
    return SPECIAL + sorted(words)


def build_tokenizer(world: World, chat: bool) -> PreTrainedTokenizerFast:
    """A word-level tokenizer of the world; with a chat template when `chat`."""
    vocab = {word: i for i, word in enumerate(vocabulary(world))}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<system>"], padding_side="left", model_max_length=256,
    )  # fmt: skip
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def write_folder(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, planted: Mapping[str, object]) -> None:
    """Write config, bfloat16 safetensors, tokenizer and planted.json (what was put where)."""
    folder.mkdir(parents=True, exist_ok=True)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "planted.json").write_text(json.dumps(dict(planted), indent=1, sort_keys=True) + "\n", encoding="utf-8")
