"""What vLLM mixes into each of its workers (`worker_extension_cls`): methods called by name.

Their arguments and answers are plain values: no function is pickled, no file of vLLM changed.
"""

from typing import TYPE_CHECKING, Any, TypedDict

from fulcra.engines.vllm.hooks import Steering, Unhooked
from fulcra.engines.vllm.lanes import Lanes, Watched
from fulcra.engines.vllm.plan import Acts, Geometry, Graphs, PlainEdit
from fulcra.engines.vllm.rows import table_of
from fulcra.engines.vllm.tokens import BROKEN, LOGITS

if TYPE_CHECKING:
    from fulcra.engines.vllm.graphs import Spliced


class Share(TypedDict):
    """What a worker holds of the model: its rank, and its neurons by layer."""

    rank: int
    widths: list[int]


class Extension:
    """The methods that the engine calls in every worker."""

    model_runner: Any
    fulcra: "Steering | Spliced | Unhooked"
    fulcra_lanes: Lanes

    def fulcra_begin(self, geometry: Geometry, graphs: Graphs) -> Share | str:
        """Put the hooks in, where edits are by hooks; how they are where the model was loaded.

        A text where the model has no module of a name that they need.
        """
        runner = self.model_runner
        try:
            if graphs == "off":
                self.fulcra = Steering(table_of(runner), runner.get_model(), geometry)
            elif graphs == "lora":
                self.fulcra = Unhooked(runner, geometry)
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

    def fulcra_watch(self, geometry: Geometry, size: int, centred: bool) -> None:
        """Read the stream of every row from now on, in windows of `size` reply tokens."""
        runner = self.model_runner
        model = runner.get_model()
        self.fulcra_lanes = Lanes(table_of(runner), model, geometry, size, centred)

    def fulcra_watched(self, rows: list[str]) -> list[Watched]:
        """What was read of rows that are over; it is forgotten here."""
        return [self.fulcra_lanes.forget(row) for row in rows]

    def fulcra_unwatch(self) -> None:
        """Read no more of the stream."""
        self.fulcra_lanes.remove()
