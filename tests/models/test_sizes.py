"""Sizes of models from configs alone: the published numbers, and the organisms' own weights."""

import json
from pathlib import Path

import pytest

from fulcra import Model
from fulcra.errors import ModelError
from fulcra.models.families import FAMILIES
from fulcra.models.sizes import file_config, shape_config, shape_names, sizes_of
from fulcra.models.tiny import tiny

#: Parameters of the published weights; of mixtures also those without six of eight experts.
PUBLISHED = {
    "8b": (8_030_261_248, 8_030_261_248),
    "70b": (70_553_706_496, 70_553_706_496),
    "405b": (405_853_388_800, 405_853_388_800),
    "8x7b": (46_702_792_704, 12_879_925_248),
    "8x22b": (140_630_071_296, 39_161_468_928),
}


@pytest.mark.parametrize("name", shape_names())
def test_a_named_shape_has_the_parameters_that_were_published(name: str) -> None:
    sizes = sizes_of(name, shape_config(name))
    assert (sizes.parameters, sizes.active) == PUBLISHED[name]
    assert (sizes.heads, sizes.experts) == (8, 8 if "x" in name else 0)
    assert sizes.cache == 2 * sizes.layers * 8 * 128


def test_the_sizes_of_a_folder_are_those_of_its_weights(sparse: Model, tmp_path: Path) -> None:
    assert sparse.folder is not None
    alone = tmp_path / "config.json"
    alone.write_bytes((sparse.folder / "config.json").read_bytes())
    for name in ("apothecary-sparse", str(sparse.folder), str(alone)):
        sizes = sizes_of(name, file_config(name))
        assert sizes.parameters == sum(each.numel() for each in sparse.hf.parameters())
        assert (sizes.layers, sizes.d_model) == (sparse.n_layers, sparse.d_model)


def test_an_unknown_shape_and_a_config_of_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it has 8b, 70b, 405b, 8x7b, 8x22b"):
        shape_config("13b")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1}))
    with pytest.raises(ModelError, match=r"describes no model|no sizes of attention"):
        sizes_of(str(path), file_config(str(path)))


@pytest.mark.parametrize("head", ["BertForMaskedLM", "LlamaForSequenceClassification"])
def test_a_config_of_a_model_that_generates_no_text_is_refused(head: str) -> None:
    config = shape_config("8b")
    config.architectures = [head]
    with pytest.raises(ModelError, match=f"its config is of a {head}, which generates no text"):
        sizes_of("some/model", config)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_generates_text(family: str) -> None:
    hf = tiny(family).hf
    hf.config.architectures = [type(hf).__name__]
    assert sizes_of(family, hf.config).d_model
