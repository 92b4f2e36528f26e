"""Guards: a classifier's own outputs, the odds of two words, and refusals of what would answer at
random.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel

from fulcra.errors import InputError, ModelError
from fulcra.models.classifiers import guard_odds, is_classifier, load_classifier
from fulcra.models.tiny import VOCAB, tiny, tiny_tokenizer

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
}


def saved(folder: Path, bare: bool = False) -> Path:
    """A random sequence classifier of three labels, or only its encoder under the same name."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCAB, num_labels=3, architectures=["BertForSequenceClassification"], **SHAPE
    )
    (BertModel(config) if bare else BertForSequenceClassification(config)).save_pretrained(folder)
    if bare:
        config.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_classifier_says_what_transformers_says_text_by_text(tmp_path: Path) -> None:
    folder, texts = saved(tmp_path), ["w5 w6", "w7", "w8 w9 w10"]
    assert is_classifier(str(folder))
    result = load_classifier(str(folder))
    hf = BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        alone = [
            hf(**result.tokenizer(text, return_tensors="pt")).logits[0].log_softmax(-1)
            for text in texts
        ]
    torch.testing.assert_close(result.log_probs(texts), torch.stack(alone))
    assert len(result.labels) == 3


def test_a_classifier_without_a_head_or_with_too_long_a_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"the file lacks classifier\.bias, so its answers would be random"
    ):
        load_classifier(str(saved(tmp_path / "bare", bare=True)))
    with pytest.raises(InputError, match="a prompt of 13 tokens, its context is 12"):
        load_classifier(str(saved(tmp_path / "whole"))).log_probs(["w5 " * 13])


def reshaped(weights: dict[str, torch.Tensor]) -> None:
    weights["bert.encoder.layer.0.output.dense.weight"] = torch.zeros(16, 25)


def spoilt(weights: dict[str, torch.Tensor]) -> None:
    weights["classifier.weight"][0, 0] = torch.inf


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (
            reshaped,
            r"layer\.0\.output\.dense\.weight is \(16, 25\) in model\.safetensors, \(16, 24\)",
        ),
        (spoilt, r"classifier\.weight holds 1 of 48 numbers that are nan or infinite"),
        (dict.clear, r"config\.json says 1 layers, the weights are 0 tensors"),
    ],
)
def test_a_classifier_of_other_weights_than_its_config_says_is_refused(
    damage: Callable[[dict[str, torch.Tensor]], None], line: str, tmp_path: Path
) -> None:
    path = saved(tmp_path) / "model.safetensors"
    weights = load_file(path)
    damage(weights)
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=line):
        load_classifier(str(tmp_path))


def test_a_causal_model_is_no_classifier() -> None:
    assert not is_classifier("apothecary-sparse")


def test_guard_odds_are_the_difference_of_two_teacher_forced_log_probabilities() -> None:
    guard = tiny("llama")
    odds = guard_odds(guard, ["w5 w6", "w9"], ("w40 w41", "w50"))
    for text, result in zip(["w5 w6", "w9"], odds, strict=True):
        total = []
        for words in ("w40 w41", "w50"):
            ids = guard.prompt_ids(text) + guard.reply_ids(words)
            with torch.no_grad():
                log_probs = guard.hf(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            start = len(guard.prompt_ids(text))
            total.append(sum(log_probs[place - 1, ids[place]] for place in range(start, len(ids))))
        assert result == pytest.approx(float(total[0] - total[1]), abs=1e-4)


def test_words_that_a_guard_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(InputError, match="are not two different rows of tokens"):
        guard_odds(tiny("llama"), ["w5"], ("unsafe", "safe"))
