"""The model library at arm's length: quiet, and every fault of a model folder one line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from fulcra.errors import FulcraError, ModelError

#: Most characters of a fault; the library may quote a whole file.
MOST = 300


def one_line(error: Exception) -> str:
    """The fault in one line of at most MOST characters, by its class where it has no words."""
    words = " ".join(str(error).split())
    return f"{words[:MOST]}..." if len(words) > MOST else words or type(error).__name__


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """A span in which whatever the library raises is a ModelError: what, and the fault.

    A damaged folder can make the library fail at any line, so that no list of classes is enough.
    """
    try:
        yield
    except FulcraError:
        raise
    except Exception as error:
        raise ModelError(f"{what}: {one_line(error)}") from None


@contextmanager
def quiet_library() -> Iterator[None]:
    """A span without the library's bars, tables and warnings: what they tell is read and raised."""
    from transformers.utils import logging

    # Loading is shown by our own bars, and problems are raised as errors.
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
