"""What fulcra raises: every message says what was asked, what was found and what to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


#: Characters of a refusal: what it repeats of a file may be of any length.
LINE = 1200


class FulcraError(Exception):
    """Any refusal of fulcra to go on: one line, with which the command line leaves."""

    exit_code = 2

    def __str__(self) -> str:
        """The line; of one that is too long to be read, its beginning and end."""
        line = super().__str__()
        return line if len(line) <= LINE else f"{line[: LINE // 2]} ... {line[-LINE // 2 :]}"


class InputError(FulcraError, ValueError):
    """The request cannot be served as asked: a wrong name, file, number or folder."""


class ModelError(InputError):
    """The model cannot be loaded or is not of a supported family."""


class ModelCheckError(FulcraError):
    """A load-time check failed: the adapter row does not describe this model."""

    exit_code = 1


class BehaviorError(InputError):
    """A behavior's prompts, openings or file are not usable."""


class RunFolderError(InputError):
    """An output folder holds something else, or cannot be written."""


class EngineError(FulcraError):
    """An engine cannot run rollouts: not installed, nobody at its address, or lost for good."""


class Inconclusive(FulcraError):
    """The protocol cannot give a verdict: the baseline or the positive control does not act."""

    exit_code = 3


def first_fault(error: "ValidationError") -> "ErrorDetails":
    """The fault of a file to tell first: a misspelt key, else the innermost one.

    A misspelt key is also missing under its right name, which would say less.
    """
    return min(
        error.errors(), key=lambda fault: (fault["type"] != "extra_forbidden", -len(fault["loc"]))
    )
