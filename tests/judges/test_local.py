"""Judging models on this machine, here ones whose weights make them say one word and end."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from fulcra import Behavior, Model, load_behavior
from fulcra.errors import InputError
from fulcra.judges.judge import Item
from fulcra.judges.local import GuardJudge, ModelJudge, guarded
from fulcra.models.tiny import tiny
from fulcra.types import Finding

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "safe", "unsafe", "perhaps", "human", "bot", "grind"]
TEMPLATE = (
    "{% for m in messages %}{{ 'human ' if m.role == 'user' else 'bot ' }}{{ m.content }} {% endfor"
    " %}bot"
)


def saying(word: str) -> Model:
    """A Llama that answers anything with one word.

    Its blocks write nothing, and the last word decides the next.
    """
    model = tiny("llama", tie_word_embeddings=False)
    with torch.no_grad():
        for name, parameter in model.hf.named_parameters():
            parameter.fill_(1.0 if name == "model.norm.weight" else 0.0)
        embed, unembed, token = (
            model.hf.get_input_embeddings().weight,
            model.hf.get_output_embeddings().weight,
            WORDS.index(word),
        )
        embed[:, 0] = 1.0
        embed[token, 0], embed[token, 1] = 0.0, 1.0
        unembed[token, 0], unembed[2, 1] = 10.0, 10.0
    inner = Tokenizer(WordLevel({each: i for i, each in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = Whitespace()
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return Model(
        f"says-{word}",
        model.hf,
        PreTrainedTokenizerFast(tokenizer_object=inner, chat_template=TEMPLATE, **names),
    )


@pytest.fixture
def items(refusal: Behavior) -> list[Item]:
    return [
        Item(prompt, f"first grind {i}", True) for i, prompt in enumerate(refusal.confirmation[:3])
    ]


@pytest.mark.parametrize(
    ("word", "finding"),
    [
        ("unsafe", Finding("flipped_correct", "unsafe", "unsafe")),
        ("safe", Finding("unchanged", "safe", "safe")),
        ("perhaps", Finding(None, "off the menu: neither safe nor unsafe")),
    ],
)
def test_a_guard_answers_safe_or_unsafe_or_nothing_we_know(
    refusal: Behavior, items: list[Item], word: str, finding: Finding
) -> None:
    judge = GuardJudge(saying(word))
    assert dict(judge(refusal, items)) == dict.fromkeys(range(3), finding)
    assert (judge.usage.requests, judge.usage.written, judge.remote) == (3, 3, False)


def test_a_guard_reads_request_and_reply_as_one_conversation() -> None:
    model = saying("safe")
    assert (
        model.words(model.exchange_ids("human grind", "perhaps"))
        == "human human grind bot perhaps bot"
    )


def test_the_first_label_counts_whatever_category_follows() -> None:
    assert guarded("unsafe\nS1, not safe").value == "flipped_correct"
    assert guarded("Safe.").value == "unchanged"
    assert guarded(" ") == Finding(None, "no answer")


def test_a_chat_model_that_cannot_grade_leaves_everything_unscored(
    refusal: Behavior, items: list[Item]
) -> None:
    model = saying("perhaps")
    model.context = 4096
    findings = dict(ModelJudge(model)(refusal, items))
    assert findings == dict.fromkeys(range(3), Finding(None, "not JSON"))


def test_what_does_not_fit_into_the_context_is_unscored_and_the_rest_is_judged(
    refusal: Behavior, items: list[Item]
) -> None:
    model = saying("unsafe")
    model.context = 64
    findings = dict(
        GuardJudge(model)(refusal, [*items, Item(refusal.confirmation[0], "grind " * 100, True)])
    )
    assert findings[3] == Finding(None, "longer than the judge's context")
    assert {findings[i].value for i in range(3)} == {"flipped_correct"}


def test_a_guard_is_for_refusals_only() -> None:
    with pytest.raises(
        InputError, match=r"--judge guard:says-safe: reads refusals, and operator flips otherwise"
    ):
        GuardJudge(saying("safe")).require(load_behavior("operator"))
