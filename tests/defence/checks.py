"""A check of a training, as the tests of hardening need it."""

from fulcra.defence.hardened import CheckEntry


def check(step: int, opened: int, lowest: float | None = None) -> CheckEntry:
    """A check at which `opened` of ten screened branches are forecast open."""
    return CheckEntry(
        step=step,
        seconds=1.0,
        screened=10,
        open_screened=opened,
        random=0,
        open_random=0,
        median_ceiling=1.0,
        median_trigger=0.5,
        lowest_trigger=lowest,
        margin=8.0,
    )
