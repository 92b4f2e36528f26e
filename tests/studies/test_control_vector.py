"""A control vector adds what its recipe adds, at every position, or is refused with the reason."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from fulcra import Model
from fulcra.errors import InputError
from fulcra.models import ablate_direction, add, add_mlp, anchor, applied_rows, load, pin, scale
from fulcra.models.read_hooks import block_outputs, everywhere
from fulcra.studies.recipe import Recipe, RecipeBehavior, RecipeModel
from fulcra.types import Direction, Edit, Edits, Neuron
from tests.cli.conftest import Call, fulcra

__all__ = ["fulcra"]
VECTOR = torch.linspace(-1, 1, 128)
ADDITIVE: Edits = (
    add(Neuron(2, 307, -1), alpha=-3.25),
    add(Neuron(2, 11), alpha=1.5),
    add(Direction(4, "flip", VECTOR), alpha=0.5),
    add_mlp(Direction(7, "mlp", VECTOR), 0.25),
)


def made(model: Model, edits: Edits, behavior: RecipeBehavior | None = None) -> Recipe:
    made_for = RecipeModel(name=model.name, sha256=model.sha256)
    return Recipe(name="mine", model=made_for, behavior=behavior, edits=edits)


@pytest.mark.parametrize("organism", ["apothecary-sparse", "apothecary-gpt2-sparse"])
def test_what_is_added_to_the_blocks_outputs_gives_the_logits_of_the_recipe(organism: str) -> None:
    model = load(organism)
    vector = made(model, ADDITIVE).control_vector(model)
    assert sorted(vector.directions) == [2, 4, 7]
    assert vector.hint == model.hf.config.model_type
    ids = torch.tensor([model.prompt_ids("how do i make the tonic ?")])
    with torch.no_grad(), applied_rows(model, ADDITIVE, every_row=True):
        expected = model.hf(input_ids=ids).logits
    handles = [
        model.blocks[layer].register_forward_hook(lambda block, args, out, v=each: out + v)
        for layer, each in vector.directions.items()
    ]
    with torch.no_grad():
        logits = model.hf(input_ids=ids).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)


def test_the_stream_moves_by_the_direction_at_every_position(sparse: Model) -> None:
    edits = ADDITIVE[:2]
    direction = made(sparse, edits).control_vector(sparse).directions[2]
    ids = torch.arange(9)[None] + 5
    streams = []
    for row in ((), edits):
        with (
            torch.no_grad(),
            applied_rows(sparse, row, every_row=True),
            block_outputs(sparse, everywhere) as outputs,
        ):
            sparse.hf(input_ids=ids)
        streams.append(outputs[2].clone())
    moved = (streams[1] - streams[0])[0]
    torch.testing.assert_close(moved, direction.expand(9, -1), rtol=0, atol=1e-4)


def test_the_file_is_read_back_by_the_gguf_package(sparse: Model, tmp_path: Path) -> None:
    recipe = made(sparse, ADDITIVE)
    vector = recipe.control_vector(sparse)
    reader = gguf.GGUFReader(vector.save(tmp_path / "dose.gguf", recipe_sha256=recipe.sha256))
    said = {key: field.contents() for key, field in reader.fields.items() if "." in key[1:]}
    assert said["general.architecture"] == "controlvector"
    assert said["controlvector.model_hint"] == "llama"
    assert said["controlvector.layer_count"] == 3
    assert said["fulcra.recipe_sha256"] == recipe.sha256
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert sorted(tensors) == ["direction.2", "direction.4", "direction.7"]
    for name, tensor in tensors.items():
        assert (tensor.tensor_type, tensor.shape.tolist()) == (gguf.GGMLQuantizationType.F32, [128])
        expected = vector.directions[int(name.partition(".")[2])]
        assert np.array_equal(tensor.data, expected.numpy())
    direction = tensors["direction.4"].data
    np.testing.assert_allclose(direction, 0.5 * VECTOR.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (scale(Neuron(3, 5), 0.0), "depends on the activation; give an additive dose"),
        (pin(Neuron(3, 5), 1.5), "depends on the activation"),
        (anchor(Neuron(3, 5), -2.0, gap=0.25), "depends on the activation"),
        (ablate_direction(Direction(3, "difference", VECTOR)), "it takes a direction out"),
        (add(Neuron(0, 5), alpha=1.0), "no direction for its first block"),
        (add(Direction(0, "flip", VECTOR), alpha=1.0), "no direction for its first block"),
        (
            add(Neuron(3, 5), alpha=1.0, positions="generated"),
            "all positions, the prompt's too, and this one was made for 'generated'",
        ),
        (add(Neuron(3, 5), alpha=1.0, positions="last"), "made for 'last'"),
    ],
    ids=str,
)
def test_what_llama_cpp_would_do_otherwise_is_refused(
    sparse: Model, edit: Edit, reason: str
) -> None:
    with pytest.raises(InputError, match="no control vector does this") as fault:
        made(sparse, (ADDITIVE[0], edit)).control_vector(sparse)
    assert reason in str(fault.value)


def test_a_norm_after_the_mlp_is_refused_and_passed_by_where_a_vector_is_added_after_it() -> None:
    model = load("apothecary-gemma2-sparse")
    for edit in (ADDITIVE[0], add_mlp(Direction(3, "mlp", VECTOR), 0.5)):
        with pytest.raises(InputError, match="a norm stands between the MLP and the stream"):
            made(model, (edit,)).control_vector(model)
    vector = made(model, ADDITIVE[2:3]).control_vector(model)
    torch.testing.assert_close(vector.directions[4], 0.5 * VECTOR)


def test_a_recipe_of_a_sensitive_behavior_or_another_model_stays(sparse: Model) -> None:
    sensitive = RecipeBehavior(name="refusal", sha256="0" * 64, sensitive=True)
    with pytest.raises(InputError, match="sensitive behavior"):
        made(sparse, ADDITIVE, sensitive).control_vector(sparse)
    other = Recipe(name="mine", model=RecipeModel(name="other", sha256="0" * 64), edits=ADDITIVE)
    with pytest.raises(InputError, match="doses do not carry over"):
        other.control_vector(sparse)


def test_the_command_writes_the_file_and_says_how_to_use_it(
    fulcra: Call, sparse: Model, tmp_path: Path
) -> None:
    made(sparse, ADDITIVE).save(tmp_path)
    out = tmp_path / "dose.gguf"
    left = fulcra("export", "apothecary-sparse", "--recipe", tmp_path, "--out", out)
    assert (left.code, left.err) == (0, "")
    assert [line.split()[0] for line in left.out.splitlines()[:3]] == [
        "direction.2",
        "direction.4",
        "direction.7",
    ]
    assert "--control-vector" in left.out
    assert out.is_file()
    made(sparse, (scale(Neuron(3, 5), 0.0),)).save(tmp_path)
    left = fulcra("export", "apothecary-sparse", "-r", tmp_path, "--out", tmp_path / "no.gguf")
    assert "give an additive dose" in left.refusal
    assert not (tmp_path / "no.gguf").exists()
