"""The two teacher-forced ladders: both edges of a window forecast before one dosed token is generated."""

from fulcra.ladders.kl_ladder import kl_ladder
from fulcra.ladders.trigger_ladder import trigger_ladder

__all__ = ["kl_ladder", "trigger_ladder"]
