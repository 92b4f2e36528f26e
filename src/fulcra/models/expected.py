"""The row that a config promises, before a large model is loaded to be read."""

from typing import TYPE_CHECKING

from fulcra.models.families import FAMILIES, Family
from fulcra.models.inference import inferred_row
from fulcra.models.shrinking import tiny_like

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def expected_row(config: "PreTrainedConfig") -> Family | None:
    """The row of a config's type, else the one inferred on a tiny random model of the config.

    None where no tiny model can be made of it, so that only the model itself can tell. ModelError
    where the tiny model has no MLP neurons to be found, as a recurrent one has not.
    """
    if config.model_type in FAMILIES:
        return FAMILIES[config.model_type]
    hf, _ = tiny_like(config)
    return None if hf is None else inferred_row(hf)
