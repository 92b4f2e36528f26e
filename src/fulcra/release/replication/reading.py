"""One figure of one model, and how figures are printed beside a paper's."""

import re
from typing import NamedTuple

#: What stands after the name of a model that was read from a GGUF file.
_FILE = re.compile(r"(\.[A-Z]+\d\w*)?\.gguf$")


class Reading(NamedTuple):
    """One figure of one model: its number, where it is one, and the words for it."""

    model: str
    value: float | None
    words: str

    @property
    def cell(self) -> str:
        """The words and whose figure it is."""
        return f"{model_name(self.model)}: {self.words}"


def model_name(name: str) -> str:
    """The model's name without its owner and the ending of its file; all are chat models."""
    return _FILE.sub("", name.rpartition("/")[2]).removesuffix("-Instruct")


def percent(rate: float) -> str:
    """A rate as a whole percentage."""
    return f"{100 * rate:.0f} %"


def points(difference: float) -> str:
    """A difference of rates in percentage points, signed."""
    return f"{100 * difference:+.1f}"
