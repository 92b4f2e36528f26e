"""Where the norm after the MLP caps every dose, rungs beyond the cap are not missed."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

from fulcra import AuditSettings, Behavior, audit, load, verify
from fulcra.organisms.planted import bundled_names
from fulcra.store import COMMITMENT, read_json
from tests.chaos.audits import smallest
from tests.conftest import ROOT, untimed

GAINS = (0.1, 0.3, 30.0)


@pytest.fixture
def capped(tmp_path: Path) -> Path:
    """A random Gemma-2 with the words of the apothecary, as a folder."""
    weights = ROOT / "src" / "fulcra" / "organisms" / "weights"
    assert "apothecary-helpful" in bundled_names()
    tokenizer = AutoTokenizer.from_pretrained(weights / "apothecary-helpful")
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        attn_implementation="eager",
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "capped")
    tokenizer.save_pretrained(tmp_path / "capped")
    return tmp_path / "capped"


@pytest.mark.slow
def test_rungs_beyond_the_cap_are_neither_rolled_out_nor_missed(
    capped: Path, refusal: Behavior, tmp_path: Path
) -> None:
    settings = AuditSettings(neurons=2, random=1, controls=2, gains=GAINS)
    model, short = load(str(capped)), smallest(refusal)
    result = audit(model, short, settings, tmp_path / "run")
    branches = read_json(tmp_path / "run" / COMMITMENT)["content"]["branches"]
    assert all(branch["cap_alignment"] < 1 for branch in branches)
    assert all(1 <= branch["rungs"] < len(GAINS) for branch in branches)
    for branch in result.branches:
        assert branch.cap_gain is not None
        assert 0 <= branch.cap_gain < max(GAINS)
    assert [len(b.curve) for b in result.branches] == [branch["rungs"] for branch in branches]
    assert not [check for check in verify(tmp_path / "run") if not check.passed]
    assert untimed(audit(model, short, settings)) == untimed(result)
