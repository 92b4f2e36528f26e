import pytest
import torch

from fulcra.errors import ModelCheckError
from fulcra.models import unembedding
from fulcra.models.tiny import tiny
from fulcra.models.unembedding import chosen_log_probs, final_vectors, logit_blocks

KINDS = ("llama", "gpt2", "gemma2", "cohere2", "granite")


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_logits_are_those_of_the_whole_pass(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(kind)
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    with torch.no_grad():
        whole = model.hf(input_ids=ids, use_cache=False).logits
        with final_vectors(model) as vectors:
            model.hf(input_ids=ids, use_cache=False)
    monkeypatch.setattr(unembedding, "BLOCK_ROWS", 3)
    monkeypatch.setattr(unembedding, "BLOCK_BYTES", 1)
    rows = vectors[-1].flatten(0, 1)
    blocks = list(logit_blocks(model, rows))
    assert [len(logits) for _, logits in blocks] == [3, 3, 2]
    logits = torch.cat([logits for _, logits in blocks])
    torch.testing.assert_close(logits, whole.flatten(0, 1).float(), rtol=1e-4, atol=1e-5)
    tokens = torch.arange(5, 13)
    expected = whole.flatten(0, 1).float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    torch.testing.assert_close(
        chosen_log_probs(model, rows, tokens), expected, rtol=1e-4, atol=1e-5
    )


def test_a_block_in_which_no_model_ran_says_so() -> None:
    model = tiny("llama")
    silent = pytest.raises(ModelCheckError, match="no hook ran at its unembedding")
    with silent, final_vectors(model):
        pass
    with torch.no_grad():
        assert model.hf(input_ids=torch.tensor([[5]])).logits.shape[-1] == model.vocab
