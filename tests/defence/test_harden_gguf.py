"""A GGUF file hardened: the adapter lies on its de-quantized weights, and opens with the file."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fulcra import Behavior, Model, load
from fulcra.defence.hardening import Plan, harden
from fulcra.defence.tuning import Effort
from fulcra.defence.windows import Sample
from fulcra.models.loading import model_folder
from fulcra.models.lora import adapted
from tests.models.cases import logits_of
from tests.models.gguf_writer import Kind, write_gguf

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sparse organism as a Q8_0 file, its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("gguf") / "sparse"
    shutil.copytree(model_folder("apothecary-sparse"), folder)
    return write_gguf(folder, folder / "sparse.gguf", Kind.Q8_0)


@pytest.fixture(scope="module")
def quantized(file: Path) -> Model:
    return load(str(file), check=False)


def test_an_adapter_of_a_gguf_opens_as_the_model_that_was_trained(
    quantized: Model, tmp_path: Path
) -> None:
    undosed = logits_of(quantized)
    with adapted(quantized, 2, 0) as lora:
        generator = torch.Generator().manual_seed(0)
        for weight in lora.weights:
            weight.data = 0.02 * torch.randn(weight.shape, generator=generator).to(weight.dtype)
        expected = logits_of(quantized)
        lora.save(tmp_path / "adapter")
    assert torch.equal(logits_of(quantized), undosed)
    opened = load(str(tmp_path / "adapter"), check=False)
    torch.testing.assert_close(logits_of(opened), expected, rtol=1e-3, atol=1e-3)
    assert opened.adapter is not None
    assert opened.adapter.base_sha256 == quantized.sha256
    assert opened.gguf is not None
    assert opened.gguf.quantization == "Q8_0"


@pytest.mark.slow
def test_a_gguf_is_hardened_and_its_adapter_names_the_file(
    quantized: Model, file: Path, refusal: Behavior, tmp_path: Path
) -> None:
    behavior = replace(
        refusal,
        positive=refusal.positive[:3],
        negative=refusal.negative[:3],
        selection=refusal.selection[:2],
        discovery=type(refusal.discovery)(),
    )
    sample = Sample(screened=2, random=2, candidates=4, others=4)
    effort = Effort(steps=2, rank=2, every=2, rows=2, generic=1, sample=sample)
    result = harden(quantized, behavior, Plan(effort), tmp_path / "out")
    assert result.model.gguf is not None
    assert result.adapter.base_sha256 == quantized.sha256
    opened = load(str(tmp_path / "out"), check=False)
    assert opened.adapter is not None
    assert Path(opened.adapter.adapter.base) == file
