"""The only room that knows transformers: loading, checking, reading and editing a model."""

from fulcra.models.installed import require_installed

# before anything below imports what is too old for it
require_installed()

from fulcra.models.adapter import Model
from fulcra.models.anchors import ablate_mean
from fulcra.models.applying import applied_rows
from fulcra.models.catalogue import families_markdown, families_table
from fulcra.models.check_entries import Check
from fulcra.models.checks import check
from fulcra.models.edit_groups import Applied
from fulcra.models.edits import ablate_direction, add, add_mlp, anchor, direction, pin, scale
from fulcra.models.loading import load, world_of

__all__ = [
    "Applied",
    "Check",
    "Model",
    "ablate_direction",
    "ablate_mean",
    "add",
    "add_mlp",
    "anchor",
    "applied_rows",
    "check",
    "direction",
    "families_markdown",
    "families_table",
    "load",
    "pin",
    "scale",
    "world_of",
]
