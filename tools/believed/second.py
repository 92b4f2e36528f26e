"""What the page reads of the second study: the figures of all lineages nobody had looked at."""

from typing import NamedTuple, Self

from fulcra.protocol.results.depth import Depth
from fulcra.protocol.results.study import CeilingFigures, StudyResult, VerdictFigures

#: Branches observed open from which on a behavior has a typical trigger.
ENOUGH = 10


class Second(NamedTuple):
    """The second study in what the page tells of it."""

    study: StudyResult
    ceilings: CeilingFigures
    verdicts: VerdictFigures
    depth: Depth

    @classmethod
    def of(cls, study: StudyResult) -> Self:
        """The figures of its held-out lineages, all of which must have been made."""
        group = study.groups["held_out"]
        assert group.ceilings is not None
        assert group.verdicts is not None
        return cls(study, group.ceilings, group.verdicts, study.depth["held_out"])

    @property
    def lineages(self) -> tuple[str, ...]:
        """The names of the lineages."""
        return self.study.groups["held_out"].lineages

    @property
    def decides(self) -> bool:
        """Whether as many branches opened as the design wants before it decides on L3."""
        return self.verdicts.open >= self.study.design.wanted.open

    @property
    def better(self) -> bool | None:
        """Whether the tested forecast errs less than `kl_ladder`; None where that is undecided."""
        gain, p = self.ceilings.better, self.ceilings.better_p
        if gain is None or gain <= 0:
            return False
        return True if p is not None and p < self.study.design.wanted.ceiling_p else None

    @property
    def ceiling_adds(self) -> bool:
        """Whether both edges rank what opens better than the trigger alone, as it was wanted."""
        p = self.verdicts.over_trigger_p
        return self.decides and p is not None and p < self.study.design.wanted.l3_over_trigger_p
