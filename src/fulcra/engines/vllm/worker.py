"""What vLLM mixes into each of its workers (`worker_extension_cls`): methods called by name.

Their arguments and answers are plain values: no function is pickled, no file of vLLM changed.
"""

from typing import Any, TypedDict

from fulcra.engines.vllm.hooks import Steering
from fulcra.engines.vllm.plan import Acts, Geometry, PlainEdit
from fulcra.engines.vllm.rows import table_of
from fulcra.engines.vllm.tokens import BROKEN, LOGITS


class Share(TypedDict):
    """What a worker holds of the model: its rank, and its neurons by layer."""

    rank: int
    widths: list[int]


class Extension:
    """The methods that the engine calls in every worker."""

    model_runner: Any
    fulcra: Steering

    def fulcra_begin(self, geometry: Geometry) -> Share | str:
        """Put the hooks in; a text where the model has no module of a name that they need."""
        runner = self.model_runner
        try:
            self.fulcra = Steering(table_of(runner), runner.get_model(), geometry)
        except AttributeError as error:
            return str(error)
        return Share(rank=self.fulcra.rank, widths=self.fulcra.widths)

    def fulcra_learn(self, sets: dict[str, list[PlainEdit]]) -> None:
        """The edit sets that the next requests may name."""
        self.fulcra.learn(sets)

    def fulcra_report(self, rows: list[str]) -> list[Acts]:
        """What was done for rows that are over; it is forgotten here."""
        self.fulcra.settle()
        return [
            Acts(
                edited=self.fulcra.forget(row),
                broken=BROKEN.pop(row, None),
                logits=LOGITS.pop(row, None),
            )
            for row in rows
        ]
