"""What fulcra raises: every message says what was asked, what was found and what to do."""


class FulcraError(Exception):
    """Any refusal of fulcra to go on; the command line prints its one line and leaves with
    `exit_code`.
    """

    exit_code = 2


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


class Inconclusive(FulcraError):
    """The protocol cannot give a verdict here: the baseline or the positive control does not
    act.
    """

    exit_code = 3
