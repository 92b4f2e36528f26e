"""What has to end soon: in seconds, where what went wrong would take hours or never end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds. What is tested takes two at most on a machine of its own; other work takes its share.
SECONDS = 30


@contextmanager
def promptly() -> Iterator[None]:
    """What runs inside takes no longer than a person waits for an answer."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < SECONDS
