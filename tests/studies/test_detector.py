"""A planted detector is perfect; nothing is fitted on scored prompts; bad sets are refused."""

import json
from pathlib import Path

import pytest
import torch

from fulcra.behaviors.labelled import halves, labelled, read_labelled, whole
from fulcra.errors import BehaviorError, InputError
from fulcra.models import Model
from fulcra.models.read_hooks import mlp_inputs
from fulcra.models.tiny import tiny
from fulcra.protocol.results.detector import DetectorResult
from fulcra.studies.detector import FitAndScore, Guards, detector, neuron_scores
from fulcra.types import Behavior, Neuron
from tests.models.test_chat import THINKS, WITH_BOS
from tests.models.test_classifiers import saved

#: The word whose presence makes a prompt positive, and the neuron that reads it.
WORD, PLANTED = 50, Neuron(0, 4)


def prompts(start: int, count: int = 6) -> tuple[list[str], list[str]]:
    """Positive and negative prompts that differ in their first word alone."""
    tails = [f"w{10 + (start + i) % 30} w{11 + (3 * start + i) % 30}" for i in range(count)]
    return [f"w{WORD} {tail}" for tail in tails], [f"w51 {tail}" for tail in tails]


FIT, SCORE = labelled("fit", *prompts(0)), labelled("score", *prompts(17))
SETS = FitAndScore(FIT, SCORE)


@pytest.fixture(scope="module")
def model() -> Model:
    """A model whose neuron L0.N4 counts the word over all earlier positions."""
    model = tiny("llama", chat_template=WITH_BOS)
    block, embedding = model.blocks[0], model.hf.get_input_embeddings().weight.data
    embedding[:, -1] = 0.0
    embedding[WORD, -1] = 40.0
    attention, mlp = block.self_attn, block.mlp
    for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
        part.weight.data.zero_()
    attention.v_proj.weight.data[0, -1] = attention.o_proj.weight.data[-2, 0] = 5.0
    embedding[:, -2] = 0.0
    block.input_layernorm.weight.data.fill_(1.0)
    block.post_attention_layernorm.weight.data.fill_(1.0)
    mlp.gate_proj.weight.data[4].zero_()
    mlp.up_proj.weight.data[4].zero_()
    mlp.gate_proj.weight.data[4, -2] = mlp.up_proj.weight.data[4, -2] = 1.0
    return model


def test_a_planted_detector_is_perfect_and_a_blind_neuron_is_refused(model: Model) -> None:
    result = detector(model, PLANTED, SETS)
    planted, probe, words = result.detectors
    assert (planted.auroc.value, planted.accuracy.value, planted.tpr_at_1.value) == (1, 1, 1)
    assert planted.detail == "largest activation"
    assert words.auroc.value == 1
    assert probe.auroc.n == 12
    assert repr(result).splitlines()[2] == "L0.N4: AUROC 1"
    model.blocks[0].mlp.gate_proj.weight.data[9].zero_()
    with pytest.raises(InputError, match="the score is 0 on all 12 prompts"):
        detector(model, Neuron(0, 9), SETS)


def test_the_direction_comes_from_the_fit_prompts_alone(model: Model) -> None:
    turned = labelled("turned", *reversed(prompts(17)))
    forward = detector(model, PLANTED, FitAndScore(FIT, turned)).detectors[0]
    assert (forward.auroc.value, forward.recall.value) == (0, 0)
    turned_fit = labelled("turned fit", *reversed(prompts(0)))
    backward = detector(model, PLANTED, FitAndScore(turned_fit, turned)).detectors[0]
    assert (backward.auroc.value, backward.detail) == (1, "minus the smallest activation")


def test_only_positions_after_the_instruction_are_read() -> None:
    for template, after in ((WITH_BOS, 1), (THINKS, 2), (None, 1)):
        model, neuron = tiny("llama", chat_template=template), Neuron(1, 3)
        scored = neuron_scores(model, neuron, SETS)
        rises = scored.detail == "largest activation"
        for text, score in zip(SCORE.texts, scored.score, strict=True):
            with torch.no_grad(), mlp_inputs(model, 1) as inputs:
                model.hf(input_ids=torch.tensor([model.prompt_ids(text)]))
            tail = inputs[1][0, -after:, 3]  # type: ignore[call-overload]
            assert score == pytest.approx(float(tail.max() if rises else -tail.min()), abs=1e-5)


def test_guards_stand_beside_the_neuron(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = tiny("llama", seed=1)
    guard.hf.save_pretrained(tmp_path / "guard")
    guard.tokenizer.save_pretrained(tmp_path / "guard")
    names = (str(saved(tmp_path / "classifier")), str(tmp_path / "guard"))
    result = detector(model, PLANTED, SETS, Guards(names, words=("w40", "w41")))
    details = [entry.detail.split(" of ")[0] for entry in result.detectors[3:]]
    assert details == ["log-probability", "log-odds"]
    for auroc in (entry.auroc for entry in result.detectors):
        assert 0 <= auroc.low <= auroc.value <= auroc.high <= 1  # type: ignore[operator]
    result.save(tmp_path)
    assert DetectorResult.load(tmp_path) == result


def test_shared_prompts_and_classes_of_one_are_refused(model: Model, refusal: Behavior) -> None:
    with pytest.raises(InputError, match="fit and score on different prompts"):
        detector(model, PLANTED, FitAndScore(FIT, FIT))
    with pytest.raises(
        InputError, match="0 positive and 6 negative prompts; a detector needs 2 or more of each"
    ):
        labelled("mine", [], prompts(0)[1])


def test_the_halves_are_disjoint_and_together_the_contrast_split(refusal: Behavior) -> None:
    behavior, first, second = halves(refusal, seed=3)
    assert set(first.texts).isdisjoint(second.texts)
    assert {*first.texts, *second.texts} == set(whole(refusal).texts)
    assert {prompt.text for prompt in (*behavior.positive, *behavior.negative)} == set(first.texts)
    assert halves(refusal, seed=3)[1] == first != halves(refusal, seed=4)[1]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '"text"',
        '{"text": "a"}',
        '{"text": " ", "label": true}',
        '{"text": "a", "label": 2}',
        "[1]",
    ],
)
def test_a_line_that_is_no_labelled_prompt_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"text": "a", "label": True}) + "\n\n" + line)
    with pytest.raises(BehaviorError, match="line 3 is not like"):
        read_labelled(path)


def test_a_file_of_labelled_prompts_is_read_and_a_contradiction_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"text": text, "label": label})
            for text, label in zip("abcd", (1, 0, True, False), strict=True)
        )
    )
    read = read_labelled(path)
    assert (read.texts, read.labels) == (("a", "c", "b", "d"), (True, True, False, False))
    path.write_text(path.read_text() + "\n" + json.dumps({"text": "a", "label": False}))
    with pytest.raises(BehaviorError, match="'a' is labelled true and false"):
        read_labelled(path)
