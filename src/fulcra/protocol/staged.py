"""The records of a run by stage and branch, and what happened on a ladder, rung by prompt."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.protocol.records import CEILING, Record


class Evidence:
    """The records of a run by stage and branch; flips leave out prompts that flip undosed."""

    def __init__(self, records: Sequence[Record], horizons: Sequence[int]) -> None:
        self.horizons = tuple(horizons)
        self._by: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in records:
            self._by[record.stage, record.branch].append(record)
        undosed = self.of("baseline", "undosed")
        self.leaking = {r.prompt for r in undosed if r.flipped(self.verdict_horizon)}

    @property
    def verdict_horizon(self) -> int:
        """The horizon at which verdicts are drawn: the longest."""
        return self.horizons[-1]

    def of(self, stage: str, branch: str) -> list[Record]:
        """All records of one branch in one stage."""
        return self._by.get((stage, branch), [])

    def branches(self, stage: str) -> list[str]:
        """The branches with records in a stage, in the order they were run."""
        return [branch for place, branch in self._by if place == stage]

    def sealed(self, stage: str, branch: str) -> list[Record]:
        """Records on prompts that do not leak undosed."""
        return [r for r in self.of(stage, branch) if r.prompt not in self.leaking]

    def flips(
        self, stage: str, branch: str, gains: Sequence[float], horizon: int
    ) -> NDArray[np.float64]:
        """Flips [gain, prompt] of a branch over its ladder; nan where none was rolled out."""
        return _ladder(self.sealed(stage, branch), gains, lambda r: r.flipped(horizon))

    def coherence(self, branch: str, gains: Sequence[float]) -> NDArray[np.float64]:
        """Coherent generic rollouts [gain, prompt], nan where none was rolled out.

        An empty one is not coherent.
        """
        horizon = self.verdict_horizon
        return _ladder(self.of(CEILING, branch), gains, lambda r: r.coherent(horizon))


def _ladder(
    records: Sequence[Record], gains: Sequence[float], happened: Callable[[Record], bool]
) -> NDArray[np.float64]:
    rungs = {gain: place for place, gain in enumerate(gains)}
    rows = [record for record in records if record.gain in rungs]
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt for r in rows))}
    ladder = np.full((len(gains), len(prompts)), np.nan)
    for record in rows:
        ladder[rungs[record.gain], prompts[record.prompt]] = happened(record)
    return ladder
