"""Which tokens of a running pass belong to which request, for both of vLLM's model runners."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, final

from torch import Tensor
from vllm import SamplingParams
from vllm.forward_context import get_forward_context, is_forward_context_available

from fulcra.engines.vllm.plan import Named
from fulcra.engines.vllm.tokens import named_of


class Stretch(NamedTuple):
    """The tokens of one request in a pass: `length` rows from `start`, the first at place `at`."""

    named: Named
    start: int
    length: int
    at: int

    @property
    def replies(self) -> bool:
        """Whether this is one token of a reply, as in every pass after the first."""
        return self.length == 1 and self.at >= self.named["prompt"]


class Table(Protocol):
    """The requests of the running pass, in the order of its rows."""

    def names(self) -> list[Named | None]:
        """What each request carries; None for a request of somebody else."""


@final
class FirstTable:
    """The table of the first model runner, which keeps the sampling parameters of its requests."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner

    def names(self) -> list[Named | None]:
        """What each request of the persistent batch carries."""
        requests = self.runner.requests
        return [named_of(requests[i].sampling_params) for i in self.runner.input_batch.req_ids]


@final
class SecondTable:
    """The table of the second model runner, which drops sampling parameters once it has read them.

    They are caught where requests are added, the order of rows where inputs are prepared.
    """

    def __init__(self, runner: Any) -> None:
        self.params: dict[str, SamplingParams | None] = {}
        self.order: list[str] = []
        add, prepare = runner.add_requests, runner.prepare_inputs

        def adding(scheduler_output: Any) -> None:
            for gone in scheduler_output.finished_req_ids:
                self.params.pop(gone, None)
            for new in scheduler_output.scheduled_new_reqs:
                self.params[new.req_id] = new.sampling_params
            add(scheduler_output)

        def preparing(*args: object, **kwargs: object) -> object:
            batch: Any = prepare(*args, **kwargs)
            self.order = list(batch.req_ids)
            return batch

        runner.add_requests, runner.prepare_inputs = adding, preparing

    def names(self) -> list[Named | None]:
        """What each request of the prepared inputs carries."""
        return [named_of(self.params.get(i)) for i in self.order]


@final
class Readings:
    """How far each dosed row has been read, and whether a pass does what the one before it did."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.composition: tuple[tuple[str, int], ...] = ()

    def repeat(self, dosed: Sequence[Stretch]) -> bool:
        """Whether each row has one more token, in the place of the last one, and no row is new."""
        going = tuple((s.named["row"], s.start) for s in dosed if self._goes_on(s))
        whole = len(going) == len(dosed)
        same = whole and bool(going) and going == self.composition
        self.composition = going if whole else ()
        return same

    def advance(self, dosed: Sequence[Stretch]) -> None:
        """The pass is known: its tokens are read from here on."""
        for stretch in dosed:
            row = stretch.named["row"]
            self.read[row] = max(self.read.get(row, 0), stretch.at + stretch.length)

    def fresh(self, row: str, first: int, past: int) -> int:
        """How many of a row's tokens from `first` to before `past` were not read before."""
        return max(0, past - max(first, self.read.get(row, 0)))

    def forget(self, row: str) -> None:
        """The row is over: nothing of it stays."""
        self.read.pop(row, None)

    def _goes_on(self, stretch: Stretch) -> bool:
        return stretch.replies and stretch.at == self.read.get(stretch.named["row"], 0)


def before_passes(runner: Any, prepare: Callable[[Mapping[str, Any]], None]) -> None:
    """Have every pass of the first model runner prepared, a replayed one too.

    vLLM keeps the runner's method for others to put theirs in its place.
    """
    forward = runner._model_forward

    def prepared(*args: object, **inputs: object) -> object:
        prepare(inputs)
        return forward(*args, **inputs)

    runner._model_forward = prepared


def table_of(runner: Any) -> Table:
    """The table of a worker's model runner."""
    return FirstTable(runner) if hasattr(runner, "requests") else SecondTable(runner)


def cached_states() -> Iterator[Tensor]:
    """The keys and values that vLLM holds, by layer, as the forward context names its layers."""
    for layer in get_forward_context().no_compile_layers.values():
        states = getattr(layer, "kv_cache", None)
        yield from (states,) if isinstance(states, Tensor) else states or ()


def stretches(table: Table, inputs: Mapping[str, Any]) -> list[Stretch]:
    """The tokens of our requests in the running pass; none in a pass of vLLM's own, for its size.

    inputs: what the model is called with. The forward context says where each request begins.
    """
    metadata = get_forward_context().attn_metadata if is_forward_context_available() else None
    if not metadata:
        return []
    if isinstance(metadata, list):
        raise RuntimeError("fulcra: a batch in two halves (dual batch overlap) is not followed")
    starts: list[int] = next(iter(metadata.values())).query_start_loc.tolist()
    names = table.names()
    positions: Tensor = inputs["positions"]
    if positions.dim() > 1:
        positions = positions[0]
    places: list[int] = positions[starts[: len(names)]].tolist()
    ours = zip(names, starts, starts[1:], places, strict=False)
    return [Stretch(named, a, b - a, place) for named, a, b, place in ours if named is not None]
