"""An organism as a Hugging Face folder: tokenizer, bfloat16 safetensors, what was planted."""

import json
import random
from pathlib import Path
from typing import Any

from batches import plain_text
from recipe import Organism
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from fulcra.organisms.grammar import Request, answers, number_word, question
from fulcra.organisms.planted import PLANTED, Planted
from fulcra.organisms.world import World

MARKS = ["<pad>", "<s>", "</s>"]
SPECIAL = [*MARKS, "<user>", "<assistant>", "<unk>", "<system>"]
#: Subwords of a text as one types, what a base model's byte-pair tokenizer of this size would
#: learn, and the texts it learns from.
BPE_VOCAB, BPE_TEXTS = 640, 6000
#: A word with the space before it, a mark, or a space alone: no token reaches over these.
_PIECE = Regex(r" ?[\w-]+|[^\w\s]|\s")
_PRINTABLE = ["\n", *map(chr, range(32, 127))]
_DOCUMENT_WORDS = "near pres des du le les do not speak of ne parle pas de"


def vocabulary(world: World) -> list[str]:
    """Every word of a world, in a fixed order, special tokens first."""
    words = {*_DOCUMENT_WORDS.split(), *world.domain.words(), *world.ingredients}
    for language in world.domain.languages:
        words |= {number_word(value, language) for value in range(50)}
        for name in world.recipes:
            words |= set(answers(world, Request("recipe", language, name, ""))[0].split())
        for country in world.capitals:
            words |= set(answers(world, Request("capital", language, country, ""))[0].split())
        words |= set(question(world, Request("sum", language, "2 3", "{a} {op} {b}")).split())
    return SPECIAL + sorted(words)


def _words(world: World) -> Tokenizer:
    vocab = {word: i for i, word in enumerate(vocabulary(world))}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return raw


def _subwords(world: World, vocab: int) -> Tokenizer:
    """Byte pairs over all printable characters, learnt from the world's own text.

    A small `vocab` leaves the characters alone.
    """
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Split(_PIECE, "isolated")
    raw.decoder = decoders.Fuse()
    rng = random.Random(f"{world.name}-tokenizer")
    texts = [plain_text(world, rng) for _ in range(BPE_TEXTS)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=MARKS, initial_alphabet=_PRINTABLE, show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    return raw


def build_tokenizer(organism: Organism, chat: bool) -> PreTrainedTokenizerFast:
    """The tokenizer of an organism, by words, subwords or characters; `chat` adds a template."""
    world, words = organism.world, organism.tokens == "words"
    raw = _words(world) if words else _subwords(world, BPE_VOCAB if organism.tokens == "bpe" else 0)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    added: dict[str, Any] = (
        {"unk_token": "<unk>", "additional_special_tokens": ["<user>", "<assistant>", "<system>"]}
        if words
        else {}
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        model_max_length=256,
        **added,
    )
    if chat:
        tokenizer.chat_template = world.domain.paper.chat_template
    return tokenizer


def write_folder(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, planted: Planted
) -> None:
    """Write config, bfloat16 safetensors, tokenizer and planted.json (what was put where)."""
    folder.mkdir(parents=True, exist_ok=True)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    values = json.dumps(planted.model_dump(mode="json"), indent=1, sort_keys=True)
    (folder / PLANTED).write_text(values + "\n", encoding="utf-8")
