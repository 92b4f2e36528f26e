"""The only room that knows transformers and hooks: loading, reading and editing a model."""

from fulcra.models.adapter import Model, bundled_names, load
from fulcra.models.edits import Applied, ablate_direction, add, applied_rows, pin, scale

__all__ = ["Applied", "Model", "ablate_direction", "add", "applied_rows", "bundled_names", "load", "pin", "scale"]
