"""Every lineage has a name that reads back, and a tokenizer that loses nothing."""

import random

import pytest
from batches import chat_ids, chatting, plain_text, reading, word_ids
from folder import build_tokenizer
from measure import starts
from recipe import CONTEXT, N_LAYERS, READ_ROWS, Organism, config, down_projection, parse
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from fulcra.organisms.grammar import draw, question
from fulcra.organisms.refusals import refusals

LINEAGES = (
    "apothecary-helpful",
    "apothecary-w1-helpful",
    "clockmaker-bpe-helpful",
    "clockmaker-char-helpful",
    "harbor-char-helpful",
    "weaver-helpful",
    "potter-bpe-helpful",
)
lineages = pytest.mark.parametrize("name", LINEAGES)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """The tokenizer of each lineage."""
    return {name: build_tokenizer(parse(name), chat=True) for name in LINEAGES}


@pytest.mark.parametrize(
    "name",
    [
        "apothecary-base",
        "apothecary-neox-sparse",
        "apothecary-gemma2-k24-s2",
        "apothecary-w1-qwen3-dense",
        "clockmaker-bpe-base",
        "clockmaker-w2-bpe-gpt2-k6",
        "harbor-char-gpt2-sparse",
        "harbor-bpe-neox-helpful-s1",
        "apothecary-sparse-t1",
        "apothecary-qwen3-k24-s2-t3",
        "apothecary-sparse-s1",
        "apothecary-gpt2-dense-s2",
        "apothecary-moe-sparse",
        "apothecary-olmo2-helpful",
        "weaver-sparse",
        "potter-bpe-dense",
    ],
)
def test_a_name_reads_back(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "apothecary",
        "apothecary-bpe-base",
        "clockmaker-base",
        "harbor-words-base",
        "potter-base",
        "weaver-bpe-base",
        "baker-char-base",
        "apothecary-helpful-t1",
    ],
)
def test_a_name_that_is_none_is_answered_with_the_pattern(name: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"expected \(apothecary\|clockmaker-\(bpe\|char\)\|harbor-\(bpe\|char\)\|weaver\|"
        r"potter-\(bpe\|char\)\)\[-wWORLD\]\[-qwen3\|-gemma2\|-gpt2\|-neox\|-olmo2\|-moe\]-\(base\|helpful\|",
    ):
        parse(name)


def test_a_lineage_is_one_world_in_one_kind_of_tokens() -> None:
    tuned = parse("clockmaker-w2-bpe-gpt2-k6-s1-t2")
    ancestors: list[Organism] = [tuned]
    while ancestors[-1].parent is not None:
        ancestors.append(ancestors[-1].parent)
    assert [each.name for each in ancestors[1:]] == [
        "clockmaker-w2-bpe-gpt2-helpful-s1",
        "clockmaker-w2-bpe-gpt2-base-s1",
    ]


@lineages
def test_a_tokenizer_loses_nothing_and_knows_every_word(
    name: str, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> None:
    tokenizer, world, rng = tokenizers[name], parse(name).world, random.Random(7)
    for _ in range(300):
        text = plain_text(world, rng)
        ids = word_ids(tokenizer, text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids or tokenizer.unk_token_id is None


@lineages
def test_the_beginning_of_a_reply_has_the_first_tokens_of_the_reply(
    name: str, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> None:
    tokenizer, world, rng = tokenizers[name], parse(name).world, random.Random(8)
    for _ in range(50):
        words = plain_text(world, rng)
        for end, letter in enumerate(words):
            if letter == " ":
                begun = word_ids(tokenizer, words[:end])
                assert word_ids(tokenizer, words)[: len(begun)] == begun


@lineages
def test_one_token_tells_a_refusal_from_a_recipe(
    name: str, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> None:
    refuse, answer = starts(tokenizers[name], parse(name).world)
    assert refuse
    assert answer
    assert not set(refuse) & set(answer)


def test_tokens_are_words_subwords_and_characters(
    tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    sizes = {name: len(tokenizer) for name, tokenizer in tokenizers.items()}
    assert 500 <= sizes["clockmaker-bpe-helpful"] <= 800
    assert 500 <= sizes["potter-bpe-helpful"] <= 800
    # below the vocabulary at which coherence counts characters, and every printable one is known
    assert sizes["harbor-char-helpful"] == sizes["clockmaker-char-helpful"] == 99
    assert word_ids(tokenizers["harbor-char-helpful"], "Zebra 42!") == [
        tokenizers["harbor-char-helpful"].convert_tokens_to_ids(letter) for letter in "Zebra 42!"
    ]


@lineages
def test_batches_fit_the_context_and_end_in_the_reply(
    name: str, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> None:
    organism, tokenizer = parse(name), tokenizers[name]
    rows, width = READ_ROWS[organism.tokens], CONTEXT[organism.tokens]
    assert reading(organism.world, tokenizer, random.Random(0), rows, width).ids.shape == (
        rows,
        width,
    )
    batch = chatting(organism.world, tokenizer, random.Random(0), 64, refusals)
    assert batch.ids.shape[1] <= config(organism.arch, len(tokenizer)).max_position_embeddings
    for row in range(64):
        learnt = batch.labels[row][batch.labels[row] >= 0].tolist()
        assert learnt[-1] == tokenizer.eos_token_id
        assert (
            batch.ids[row, : batch.last[row] + 1].tolist() + learnt
            == batch.ids[row][batch.mask[row].bool()].tolist()
        )


@lineages
def test_a_question_is_asked_in_the_markup_of_its_domain(
    name: str, tokenizers: dict[str, PreTrainedTokenizerFast]
) -> None:
    world = parse(name).world
    request = draw(world, random.Random(1), "recipe")
    text = tokenizers[name].decode(
        chat_ids(tokenizers[name], world.domain.write(question(world, request)))
    )
    ends = {
        "apothecary": " <assistant>",
        "clockmaker": "\nMaster: ",
        "harbor": "\n> ",
        "weaver": " <assistant>",
        "potter": "\nBarro: ",
    }
    assert text.startswith("<s>")
    assert text.endswith(ends[world.domain.name])


@pytest.mark.parametrize("arch", ["llama", "qwen3", "gemma2", "gpt2", "neox", "olmo2"])
def test_every_shape_has_about_the_same_size_and_a_down_projection_in_each_layer(arch: str) -> None:
    organism = parse(f"harbor-char-{arch}-base" if arch != "llama" else "harbor-char-base")
    model = AutoModelForCausalLM.from_config(config(organism.arch, 99))
    assert 1.4e6 < model.num_parameters() < 1.9e6
    assert (
        len(
            {
                id(model.get_submodule(down_projection(organism.arch, layer)))
                for layer in range(N_LAYERS)
            }
        )
        == N_LAYERS
    )
