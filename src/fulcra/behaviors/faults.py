"""The one line that says which key of a behavior file is wrong, and what to write."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from fulcra.behaviors.schema import (
    BehaviorFile,
    Flip,
    FlipRefusal,
    FlipWords,
    PromptEntry,
    SetSlice,
    Source,
)
from fulcra.errors import first_fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SEE = "see `fulcra behavior schema`"
_MODELS: dict[str, type[BaseModel]] = {
    "flip": Flip,
    "words": FlipWords,
    "refusal": FlipRefusal,
    "SetSlice": SetSlice,
    "source": Source,
    "PromptEntry": PromptEntry,
}
_EXPECTED = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "int_type": "a whole number",
    "bool_type": "true or false",
}


def behavior_fault(error: ValidationError) -> str:
    """The first fault of a behavior file or of a part of one."""
    fault = first_fault(error)
    place = ".".join(str(part)[:60] for part in fault["loc"] if not _is_branch(part))
    if fault["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {_near_key(fault, _MODELS.get(error.title, BehaviorFile))}"
    if fault["type"] == "missing":
        return f"the key {place!r} is missing; add it"
    if fault["type"] == "value_error":
        return f"{place} {fault['ctx']['error']}"
    value, expected = fault["input"], _EXPECTED.get(fault["type"])
    written = "nothing" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
    wanted = f"expected {expected}" if expected else fault["msg"]
    return f"{place}: {wanted}, found {written}; {SEE}"


def _near_key(fault: "ErrorDetails", root: type[BaseModel]) -> str:
    """The key that was perhaps meant, else all keys of the mapping that holds the unknown one."""
    models = (_MODELS[str(part)] for part in reversed(fault["loc"][:-1]) if str(part) in _MODELS)
    keys = list(next(models, root).model_fields)
    near = get_close_matches(str(fault["loc"][-1]), keys, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(keys)}"


def _is_branch(part: int | str) -> bool:
    """Whether a part of a fault's place names a branch of a union and no key of the file."""
    return isinstance(part, str) and (part in ("str", "PromptEntry", "SetSlice") or "[" in part)
