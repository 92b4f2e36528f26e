"""A figure of a registered study with its interval."""

from fulcra.protocol.results.base import Value


class Bounded(Value):
    """A figure with its 95 % interval over lineages, then neurons; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half of the interval, or None without one."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2
