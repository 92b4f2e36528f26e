"""Every decoder that the installed transformers knows: an exact row, an inferred one, or none."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from fulcra.errors import FulcraError
from fulcra.models.adapter import Model
from fulcra.models.checks import validated
from fulcra.models.families import FAMILIES
from fulcra.models.inference import inferred
from fulcra.models.library import one_line, quiet_library
from fulcra.models.shrinking import tiny_like
from fulcra.models.tiny import tiny_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

State = Literal["exact row", "inferred", "refused"]


class Decoder(NamedTuple):
    """A model type and how it is read: the inferred row in words, or why it is refused."""

    model_type: str
    state: State
    detail: str


def decoder_types() -> tuple[str, ...]:
    """The model types that the installed library loads as causal language models."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def decoder(model_type: str) -> Decoder:
    """How a type is read, verified on a tiny random model of its usual config; about a second."""
    from transformers import AutoConfig

    if model_type in FAMILIES:
        return Decoder(model_type, "exact row", "")
    try:
        with quiet_library():
            config = AutoConfig.for_model(model_type)
    except Exception as error:  # some types have no usual config
        return Decoder(model_type, "refused", f"no tiny model can be made: {one_line(error)}")
    if config.model_type in FAMILIES:
        return Decoder(model_type, "exact row", f"that of {config.model_type}")
    hf, reason = tiny_like(config)
    if hf is None:
        return Decoder(model_type, "refused", f"no tiny model can be made: {reason}")
    return _read(model_type, hf)


def _read(model_type: str, hf: "PreTrainedModel") -> Decoder:
    """A type by its tiny model, with every check and the weight-edit oracle."""
    try:
        inferred(hf)
    except Exception as error:  # a foreign forward pass may fail at any line
        return Decoder(model_type, "refused", one_line(error))
    try:
        model = validated(Model(f"tiny-{model_type}", hf, tiny_tokenizer()))
    except FulcraError as error:
        reason = str(error).rpartition("none can be inferred: ")[2]
        # the numbers differ between machines
        return Decoder(model_type, "refused", reason.partition(", found ")[0])
    return Decoder(model_type, "inferred", model.inferred or "")


def decoders_markdown(entries: list[Decoder]) -> str:
    """The table of all types as a page."""
    from transformers import __version__

    counts = {state: sum(entry.state == state for entry in entries) for state in STATES}
    tally = ", ".join(f"{count} {state}" for state, count in counts.items())
    head = (
        "# Every decoder of transformers\n\nWritten by `fulcra families --all --markdown`; do not"
        f" edit. transformers {__version__} loads {len(entries)} model types as\ncausal language"
        f" models: {tally}.\n\n"
        "- exact row: a row of [families](families.md), held to the laws of reading and writing by"
        " tests.\n"
        "- inferred: read off one traced pass of the model, accepted because every load-time check"
        " and a weight-edit\n  oracle in every layer pass; verified here on a tiny random model of"
        " the type's usual config, and again on\n  the model itself whenever one is loaded.\n"
        "- refused: no neurons whose edits would be exact. A model of the type with another config"
        " is tried anew when loaded.\n"
    )
    rows = [f"| {entry.model_type} | {entry.state} | {_cell(entry.detail)} |" for entry in entries]
    return "\n".join([head, "| model type | state | row, or why not |", "|---|---|---|", *rows, ""])


STATES: tuple[State, ...] = ("exact row", "inferred", "refused")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
