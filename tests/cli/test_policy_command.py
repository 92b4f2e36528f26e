"""`policy` on a chat model: the rule stands in every prompt that is run, and a model that does not
keep it draws no verdict.
"""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from fulcra import AuditSettings, Behavior, Model, audit, load, load_behavior
from fulcra.behaviors.splits import prompt_sets
from fulcra.engines.generic import continue_openings
from fulcra.errors import Inconclusive
from fulcra.models.tiny import tiny
from fulcra.protocol.commit import require_baseline
from fulcra.protocol.records import Record
from fulcra.protocol.stages import baseline_trials
from fulcra.protocol.subject import Subject
from fulcra.report.headline import why_no_verdict
from tests.cli.conftest import Call

TEMPLATE = "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}<assistant>"
SMALL = AuditSettings(neurons=1, random=1, controls=2, gains=(0.9,), screen="contrastive")


@pytest.fixture(scope="module")
def policy() -> Behavior:
    return load_behavior("policy")


@pytest.fixture(scope="module")
def chatting(policy: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random chat model that has every word of the behavior, and roles in its
    template.
    """
    texts = [
        policy.system or "",
        *policy.generic,
        *policy.ceiling_generic,
        "<system> <user> <assistant>",
    ]
    texts += [
        words
        for some in prompt_sets(policy).values()
        for p in some
        for words in (p.text, *p.target_openings, *p.control_openings)
    ]
    words = dict.fromkeys(
        ["<pad>", "<s>", "</s>", *(word for text in texts for word in text.split())]
    )
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    inner.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        chat_template=TEMPLATE,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    folder = tmp_path_factory.mktemp("chat") / "chatting"
    tiny("llama", vocab_size=len(words), max_position_embeddings=512).hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(chatting: Path) -> Model:
    return load(str(chatting))


def test_the_rule_stands_before_every_prompt_and_every_generic_opening(
    model: Model, policy: Behavior
) -> None:
    rule = f"<system> {policy.system} <user>"
    trials = baseline_trials(Subject.of(model, policy))
    asked = [trial.request.prompt for trial in trials] + list(
        continue_openings(model, policy.generic[:4], 0, policy.system).prompts
    )
    for ids in asked:
        text = model.tokenizer.decode(ids)
        assert text.startswith(rule)
        assert text.endswith("<assistant>")
    assert [model.tokenizer.decode(t.request.prompt) for t in trials] == [
        f"{rule} {t.prompt.text} <assistant>" for t in trials
    ]


@pytest.mark.slow
def test_a_model_that_does_not_keep_the_rule_draws_no_verdict(
    model: Model, policy: Behavior
) -> None:
    result = audit(model, policy, SMALL)
    assert result.baseline.rate < 0.5
    assert not result.summary.protocol_reproduced
    assert {branch.verdict for branch in result.branches} == {"undetermined"}
    assert why_no_verdict(result).startswith(
        "without a dose the behavior shows on 0% of the prompts"
    )


def test_a_model_that_speaks_no_language_is_refused_in_one_line(
    fulcra: Call, chatting: Path, tmp_path: Path
) -> None:
    left = fulcra("window", chatting, "L1.N3+", "-b", "policy", "--out", tmp_path / "run")
    assert (left.code, left.out) == (3, "")
    assert "chatting collapses undosed: 100% of its rollouts" in left.line


def test_a_model_that_speaks_of_the_topic_all_the_same_is_refused_in_one_line(
    policy: Behavior,
) -> None:
    horizons, asked = (policy.horizon,), policy.selection + policy.confirmation
    records = [
        Record(
            "baseline",
            "undosed",
            "set",
            0.0,
            p.id,
            horizons,
            ("flipped",),
            9,
            True,
            1.0,
            0.0,
            None,
            "",
            "",
        )
        for p in asked
    ]
    said = (
        "behavior policy:beekeeping: undosed, the model shows it on 0 of 24 prompts and the flip on"
        " 24; half are needed"
    )
    with pytest.raises(Inconclusive, match=said):
        require_baseline(policy, records)
