"""The behaviors in examples/ load, and models of stories show them undosed."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fulcra.behaviors import load_behavior
from fulcra.judges.outcome import typed

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "data"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_an_example_is_a_checked_behavior(path: Path) -> None:
    behavior = load_behavior(path)
    assert len(behavior.selection) >= 8
    assert len(behavior.confirmation) >= 16


@pytest.mark.parametrize("name", ["stories260K", "babyllama105"])
def test_undosed_a_story_about_a_girl_goes_on_with_she(name: str) -> None:
    if not (MODELS / name).is_dir():
        pytest.skip(f"{name} is not beside this checkout, in shared/data")
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(MODELS / name).eval(),
        AutoTokenizer.from_pretrained(MODELS / name),
    )
    behavior = load_behavior(ROOT / "examples" / "pronoun.yaml")
    outcomes = []
    for prompt in behavior.selection:
        ids = tokenizer(prompt.text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            out = model.generate(
                ids, max_new_tokens=behavior.horizon, do_sample=False, pad_token_id=2
            )
        outcomes.append(
            typed(behavior.oracle(prompt, tokenizer.decode(out[0, ids.shape[1] :]), False))
        )
    assert outcomes.count("unchanged") >= 0.9 * len(outcomes)
