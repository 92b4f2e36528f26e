"""SAELens loads branches as an SAE whose features are their activations, exactly."""

import json
from pathlib import Path

import pytest
import torch

from fulcra import Model
from fulcra.errors import InputError
from fulcra.interop.caches import cache_of
from fulcra.interop.sae_lens import CONFIG, save_sae
from fulcra.models.tiny import tiny
from fulcra.types import Neuron
from tests.interop.conftest import PROMPT

BRANCHES = (Neuron(2, 307, -1), Neuron(2, 307), Neuron(2, 5), Neuron(2, 383, -1))


@pytest.mark.filterwarnings("ignore")
def test_features_are_the_branches_and_decode_to_their_activations(
    sparse: Model, tmp_path: Path
) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="needs SAELens 6: pip install sae-lens")
    sae = sae_lens.SAE.load_from_disk(save_sae(sparse, BRANCHES, tmp_path / "sae"))
    cache = cache_of(sparse, sparse.prompt_ids(PROMPT, chat=False))
    values = cache[sae.cfg.metadata.hook_name]
    own = torch.stack([(values[..., b.index] * b.pole).clamp(min=0) for b in BRANCHES], -1)
    with torch.no_grad():
        features = sae.encode(values)
        assert torch.equal(features, own)
        decoded = sae.decode(features)
    assert torch.equal(decoded[..., 307], values[..., 307])
    others = [i for i in range(384) if i not in (307, 5, 383)]
    assert not decoded[..., others].any()
    assert sae.cfg.metadata.branches == [str(branch) for branch in BRANCHES]


def test_the_config_says_what_the_sae_reads(sparse: Model, tmp_path: Path) -> None:
    config = json.loads((save_sae(sparse, BRANCHES, tmp_path / "sae") / CONFIG).read_text())
    assert (config["d_in"], config["d_sae"]) == (384, 4)
    assert config["metadata"]["hook_name"] == "blocks.2.mlp.hook_post"
    assert config["metadata"]["model_sha256"] == sparse.sha256


def test_branches_that_make_no_sae_are_refused(sparse: Model, tmp_path: Path) -> None:
    for branches in ((), (Neuron(2, 5), Neuron(3, 5)), (Neuron(2, 5), Neuron(2, 5))):
        with pytest.raises(InputError, match="an SAE reads one layer"):
            save_sae(sparse, branches, tmp_path / "sae")
    with pytest.raises(InputError, match="neurons of experts"):
        save_sae(tiny("mixtral"), [Neuron(1, 3, expert=0)], tmp_path / "sae")
    with pytest.raises(InputError, match="neurons 0-383"):
        save_sae(sparse, [Neuron(2, 384)], tmp_path / "sae")
    assert not (tmp_path / "sae").exists()
