"""Rollouts by vLLM: edits by hooks in its workers, tokens by the local engine's own draws."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast, final
from uuid import uuid4

import torch

from fulcra.engines.decoding import name_broken, sized
from fulcra.engines.local import require_room
from fulcra.engines.vllm.load import (
    VllmOptions,
    geometry,
    installed,
    last_line,
    loaded,
    undisturbed,
)
from fulcra.engines.vllm.lora import adapters
from fulcra.engines.vllm.plan import (
    Acts,
    EditSets,
    Named,
    PlainEdit,
    Span,
    kind_of,
    require_in_graphs,
    unmet,
)
from fulcra.engines.vllm.probe import require_steered
from fulcra.errors import EngineError, InputError, ModelError
from fulcra.models import Model
from fulcra.models.watching import Windows
from fulcra.types import Rollout, RolloutRequest

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

    from fulcra.engines.vllm.lanes import Watched
    from fulcra.engines.vllm.worker import Share

#: Rollouts that are handed out together; their counts are asked of the workers at once.
TOGETHER = 64


@final
class VllmEngine:
    """vLLM beside a loaded model: the same weights, edits and draws, in its own batches.

    At its start it is held against the model on a few dosed tokens, and refuses to run unsteered;
    after every rollout its workers' counts of edited tokens are held against the tokens rolled.
    `unfit` are the kinds of edit whose logits were not the model's, with the reason.
    """

    name: Final = "vllm"
    exact: Final = False

    def __init__(self, model: Model, options: VllmOptions = VllmOptions()) -> None:
        self.model, self.options, self.version = model, options, installed()
        self.geometry = geometry(model)
        self.llm: Any = loaded(model, options)
        self.busy = False
        self.windows: Windows | None = None
        try:
            self.logits: dict[int, list[float]] = {}
            self._begin()
            self.unfit = require_steered(self, model)
        except BaseException:
            self.close()
            raise

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Its version, how many devices share a layer, the longest text; how graphs hold edits."""
        graphs = self.options.graphs
        return {
            "version": self.version,
            "tensor_parallel": self.options.tensor_parallel,
            "length": self.options.length,
            **({} if graphs == "off" else {"graphs": graphs}),
        }

    def run_shards(self, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
        """Rollouts by request index, as they finish, many at a time.

        InputError for an edit that vLLM cannot express, before anything runs.
        """
        require_room(self.model, requests)
        self._require_length(requests)
        self._require_kinds(requests)
        yield from self.rolled(sized(self.model, requests))

    def rolled(
        self, requests: Sequence[RolloutRequest], first_logits: bool = False
    ) -> Iterator[dict[int, Rollout]]:
        """The rollouts of requests without anchors; `first_logits`: these go into `logits`."""
        if self.busy:
            raise InputError("the vLLM engine runs one set of requests at a time; end the first")
        wanted = [request.edits for request in requests]
        # an adapter is vLLM's own business: such a row carries no edit for the workers
        by_lora = self.options.graphs == "lora"
        sets = EditSets([() for _ in wanted] if by_lora else wanted)
        run = uuid4().hex[:12]
        rows = {f"{run}-{i}": i for i in range(len(requests))}
        self.busy = True
        try:
            with adapters(self.model, wanted if by_lora else ()) as loras:
                self._call("fulcra_learn", sets.plain)
                for row, i in rows.items():
                    named = self._named(row, requests[i], sets.names[i], first_logits)
                    self._add(requests[i], named, loras[i] if by_lora else None)
                for finished in self._finished():
                    yield self._checked(finished, rows, requests, sets)
        finally:
            self.busy = False
            if self.llm is not None:
                self.llm.llm_engine.abort_request(list(rows))

    @contextmanager
    def watched(self, windows: Windows) -> Iterator[None]:
        """Windows filled by the reply tokens of every rollout inside the block, as it is over.

        What a row leaves open goes on in the row of that number of the next requests. InputError
        inside graphs, where no hook runs.
        """
        if self.options.graphs != "off":
            raise InputError(
                "a watch reads the stream by hooks, which do not run inside vLLM's graphs; give the"
                " engine graphs='off'"
            )
        centred = self.model.family.stream == "layer"
        self._call("fulcra_watch", self.geometry, windows.size, centred)
        self.windows = windows
        try:
            yield
        finally:
            self.windows = None
            if self.llm is not None:
                self._call("fulcra_unwatch")

    def close(self) -> None:
        """Give back the memory and the workers; closing it again does nothing."""
        if self.llm is None:
            return
        from vllm.distributed import cleanup_dist_env_and_memory

        with undisturbed():
            self.llm.llm_engine.engine_core.shutdown()
            self.llm = None
            cleanup_dist_env_and_memory()

    def _begin(self) -> None:
        """Hooks in every worker; ModelError where vLLM's model is built in another way."""
        shares = cast(
            "list[Share | str]", self._call("fulcra_begin", self.geometry, self.options.graphs)
        )
        if broken := [share for share in shares if isinstance(share, str)]:
            raise ModelError(
                f"model {self.model.name!r}: vLLM {self.version} builds it from other modules,"
                f" where no edit would act: {broken[0]}; use --engine local"
            )
        widths = [share["widths"] for share in shares if not isinstance(share, str)]
        for layer in range(self.model.n_layers):
            here = sum(width[layer] for width in widths)
            if here != self.model.width(layer):
                raise ModelError(
                    f"model {self.model.name!r}: vLLM holds {here} neurons of layer {layer}, the"
                    f" model has {self.model.width(layer)}; use --engine local"
                )

    def _call(self, method: str, *args: object) -> list[object]:
        with undisturbed():
            answers: list[object] = self.llm.collective_rpc(method, args=args)
        return answers

    def _named(self, row: str, request: RolloutRequest, edits: str, first_logits: bool) -> Named:
        ends = sorted(self.model.end_ids)
        return Named(
            row=row,
            edits=edits,
            prompt=len(request.prompt),
            temperature=request.sampling.temperature,
            seed=str(request.sampling.seed),
            horizon=request.horizon,
            end=ends[0] if ends else 0,
            first_logits=first_logits,
        )

    def _add(self, request: RolloutRequest, named: Named, lora: "LoRARequest | None") -> None:
        from vllm.inputs import TokensPrompt

        prompt = TokensPrompt(prompt_token_ids=list(request.prompt))
        parameters = _parameters(request, sorted(self.model.end_ids), named)
        with undisturbed():
            self.llm.llm_engine.add_request(named["row"], prompt, parameters, lora_request=lora)

    def _finished(self) -> Iterator[list["RequestOutput"]]:
        """Requests that are over, many at a time."""
        engine, over = self.llm.llm_engine, list["RequestOutput"]()
        while engine.has_unfinished_requests():
            with undisturbed():
                over += [output for output in self._step() if output.finished]
            if len(over) >= TOGETHER or (over and not engine.has_unfinished_requests()):
                yield over
                over = []

    def _step(self) -> list["RequestOutput"]:
        try:
            outputs: list[RequestOutput] = self.llm.llm_engine.step()
        except Exception as error:  # whatever stops a library of this size, one line says it
            raise EngineError(
                f"vLLM {self.version} stopped while {self.model.name} ran: {last_line(error)};"
                " rollouts that were handed out stay"
            ) from error
        return outputs

    def _checked(
        self,
        finished: Sequence["RequestOutput"],
        rows: Mapping[str, int],
        requests: Sequence[RolloutRequest],
        sets: EditSets,
    ) -> dict[int, Rollout]:
        """The rollouts of requests that are over, each held against what the workers counted."""
        over = [output.request_id for output in finished]
        reports = cast("list[list[Acts]]", self._call("fulcra_report", over))
        out = dict[int, Rollout]()
        for output, *acts in zip(finished, *reports, strict=True):
            i = rows[output.request_id]
            tokens = tuple(output.outputs[0].token_ids)
            edits = sets.plain.get(sets.names[i], [])
            self._require_acted(requests[i], edits, acts, len(tokens))
            out[i] = self._rollout(tokens, acts)
            if acts[0]["logits"] is not None:
                self.logits[i] = acts[0]["logits"]
        if self.windows is not None:
            self._fill(
                self.windows, [(output.request_id, rows[output.request_id]) for output in finished]
            )
        name_broken(self.model, [requests[i] for i in out], list(out.values()))
        return out

    def _fill(self, windows: Windows, over: Sequence[tuple[str, int]]) -> None:
        """Windows of rows that are over; the stream is the same in all workers."""
        ids = [row for row, _ in over]
        first = cast("list[list[Watched]]", self._call("fulcra_watched", ids))[0]
        for (_, i), watched in zip(over, first, strict=True):
            windows.tokens += watched["tokens"]
            windows.complete += [(i, self._stream(content)) for content in watched["windows"]]
            if watched["filled"]:
                windows.put(i, watched["filled"], self._stream(watched["open"]))

    def _stream(self, content: bytes) -> torch.Tensor:
        """A window as its worker sent it, [layer, d_model]."""
        means = torch.frombuffer(bytearray(content), dtype=torch.float32)
        return means.view(self.model.n_layers, -1).to(self.model.device)

    def _rollout(self, tokens: tuple[int, ...], acts: Sequence[Acts]) -> Rollout:
        broken = [act["broken"] for act in acts if act["broken"] is not None]
        if broken:
            return Rollout(tokens[: min(broken)], False, False)
        ended = bool(tokens) and tokens[-1] in self.model.end_ids
        return Rollout(tokens[:-1] if ended else tokens, ended)

    def _require_acted(
        self, request: RolloutRequest, edits: list[PlainEdit], acts: Sequence[Acts], tokens: int
    ) -> None:
        span = Span(len(request.prompt), tokens - 1)
        for place, due, did in unmet(edits, acts, span, self.model.n_layers):
            raise EngineError(
                f"{request.edits[place]}: vLLM edited {did} tokens where {due} went through the"
                " model; nothing of this part is kept, use --engine local"
            )

    def _require_length(self, requests: Sequence[RolloutRequest]) -> None:
        longest = max((len(r.prompt) + r.horizon for r in requests), default=0)
        room: int = self.llm.llm_engine.vllm_config.model_config.max_model_len
        if longest > room:
            raise InputError(
                f"rollout of {longest} tokens: the vLLM engine has room for {room}; give it a"
                " larger length or more memory, or use --engine local"
            )

    def _require_kinds(self, requests: Sequence[RolloutRequest]) -> None:
        for edits in dict.fromkeys(request.edits for request in requests):
            require_in_graphs(edits, self.options.graphs)
            for edit in edits:
                kind = kind_of(edit)
                if (reason := self.unfit.get(kind)) is not None:
                    raise InputError(f"{edit}: {reason}")


def _parameters(request: RolloutRequest, ends: list[int], named: Named) -> "SamplingParams":
    """Greedy for vLLM, whose choice the worker's `Tokens` leaves it; over at the model's ends."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=request.horizon,
        temperature=0,
        detokenize=False,
        ignore_eos=True,
        stop_token_ids=ends,
        output_kind=RequestOutputKind.FINAL_ONLY,
        extra_args={"fulcra": named},
    )
