"""Edits as a control vector of llama.cpp: what they add to the stream, block by block.

llama.cpp adds `direction.L` to the output of block L, counted from 0, at every position, the
prompt's too, and reads none for block 0. Edits of additive writes are that, where nothing stands
between the write and the stream.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models.adapter import Model
from fulcra.models.effective import probe
from fulcra.store import write_bytes
from fulcra.types import Direction, Edit, Edits, Neuron

ARCHITECTURE = "controlvector"
#: What llama.cpp calls a family, where it is not our name without its underscores.
HINTS = {"mistral": "llama", "mixtral": "llama", "gemma3_text": "gemma3", "gpt_oss": "gpt-oss"}


class ControlVector(NamedTuple):
    """What is added at each layer, [d_model] in float32, and the family it is for."""

    directions: dict[int, Tensor]
    hint: str

    def save(self, path: Path, **source: str) -> Path:
        """Write the GGUF file that llama.cpp reads as `--control-vector`; returns its path.

        `source` is kept in its metadata, under fulcra's name.
        """
        from gguf import GGUFWriter

        with tempfile.TemporaryDirectory() as folder:
            writer = GGUFWriter(Path(folder) / "vector.gguf", ARCHITECTURE)
            writer.add_string(f"{ARCHITECTURE}.model_hint", self.hint)
            writer.add_int32(f"{ARCHITECTURE}.layer_count", len(self.directions))
            for key, text in source.items():
                writer.add_string(f"fulcra.{key}", text)
            for layer, vector in sorted(self.directions.items()):
                writer.add_tensor(f"direction.{layer}", vector.numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            write_bytes(path, (Path(folder) / "vector.gguf").read_bytes())
        return path


def control_vector(model: Model, edits: Edits) -> ControlVector:
    """What edits add to the stream at each layer, at all positions; those of a layer are summed.

    InputError with the reason where llama.cpp would do something else. Cost: two short passes.
    """
    for edit in edits:
        _require_additive(model, edit)
    hint, multiplier = _hint(model), probe(model).multiplier
    directions: dict[int, Tensor] = {}
    for edit in edits:
        written = _written(model, edit, multiplier)
        directions[edit.site.layer] = directions.get(edit.site.layer, 0) + written
    return ControlVector(directions, hint)


def _require_additive(model: Model, edit: Edit) -> None:
    """InputError unless the edit adds one constant vector to the stream after its block."""
    if reason := _why_not(model, edit):
        raise InputError(f"{edit}: no control vector does this: {reason}")


def _why_not(model: Model, edit: Edit) -> str | None:
    """Why llama.cpp would not do what the edit says; None where it does."""
    if edit.op not in ("add", "add_vector", "add_mlp"):
        return (
            "what it adds depends on the activation; give an additive dose"
            if edit.op != "ablate_direction"
            else "it takes a direction out; give an additive dose"
        )
    if edit.positions != "all":
        return (
            f"llama.cpp doses all positions, the prompt's too, and this one was made for"
            f" {edit.positions!r}; make the recipe, and its window, for positions 'all'"
        )
    if edit.site.layer == 0:
        return "llama.cpp reads no direction for its first block; choose a later layer"
    if isinstance(edit.site, Neuron) and edit.site.expert is not None:
        return "the router decides how much an expert's neuron writes; choose a dense layer"
    if edit.op != "add_vector" and model.post_norm(edit.site.layer) is not None:
        return (
            f"a norm stands between the MLP and the stream ({model.family.post_norm}), which"
            " llama.cpp would pass by: the audited window would not hold"
        )
    return None


@torch.no_grad()
def _written(model: Model, edit: Edit, multiplier: Tensor) -> Tensor:
    """What an additive edit adds to its block's output, [d_model], float32 on the CPU."""
    if isinstance(edit.site, Direction):
        written = edit.site.vector.float().cpu() * edit.value
    else:
        written = model.write(edit.site).cpu() * edit.value
    return written if edit.op == "add_vector" else written * multiplier[edit.site.layer]


def _hint(model: Model) -> str:
    """The family as llama.cpp calls it; InputError where it has none."""
    from gguf import MODEL_ARCH_NAMES

    kind: str = model.hf.config.model_type
    hint = HINTS.get(kind, kind.replace("_", ""))
    if hint not in MODEL_ARCH_NAMES.values():
        raise InputError(
            f"model {model.name!r}: llama.cpp knows no family {kind}, so it runs no control vector"
            " for it"
        )
    return hint
