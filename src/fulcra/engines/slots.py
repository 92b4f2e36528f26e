"""Rows in fixed slots: one decoding step whose shapes never change, compiled once."""

import copy
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any, final

import torch
from torch import Tensor
from transformers.cache_utils import Cache, StaticLayer

from fulcra.engines.cache import windows
from fulcra.engines.decoding import Prefix, prefilled
from fulcra.engines.sampling import choose, is_warm, uniforms
from fulcra.engines.slot_doses import Doses
from fulcra.engines.transcript import Transcript
from fulcra.models import Model
from fulcra.types import Rollout, RolloutRequest

#: What torch.compile turns a step into.
BACKEND = "inductor"


class SlotLayer(StaticLayer):
    """Keys and values of one layer [slot, head, column, head_dim].

    Every slot writes at the column of its own `place`.
    """

    def __init__(self, states: tuple[Tensor, Tensor], place: Tensor, width: int) -> None:
        super().__init__(max_cache_len=width)
        self.place, self.every = place, torch.arange(len(place), device=place.device)
        self.held = [
            state.new_zeros(len(place), state.shape[1], width, state.shape[-1]) for state in states
        ]
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """All columns, the new ones among them; a mask hides those that are not said yet."""
        for held, state in zip(self.held, (key_states, value_states), strict=True):
            held[self.every, :, self.place] = state[:, :, 0]
        keys, values = self.held
        return keys, values

    def get_seq_length(self) -> int:
        """A length for models that ask; positions and masks are given to them."""
        return 1

    def put(self, slots: Tensor, states: tuple[Tensor, Tensor]) -> None:
        """Prompts in the first columns of `slots`, zeros in all others.

        A masked number that is not finite still spoils a row.
        """
        for held, state in zip(self.held, states, strict=True):
            held[slots] = torch.nn.functional.pad(state, (0, 0, 0, held.shape[2] - state.shape[2]))


@final
class Slots:
    """Rows of a model, `size` at a time, of at most `width` tokens and `edits` neurons a layer.

    A row stands in the columns from `start` on; `place` is where its last `token` goes. The step
    runs on a twin of the model, other modules around the same weights, so that its hooks can stay
    and no other pass sees them.
    """

    def __init__(self, model: Model, size: int, width: int, edits: int) -> None:
        self.size, self.width = size, width
        # of the model itself nothing is kept, so that it can be let go
        self.twin, device = twin(model), model.device
        self.every = torch.arange(size, device=device)
        self.token, self.start, self.place = (
            torch.zeros(size, dtype=torch.long, device=device) for _ in range(3)
        )
        self.alive = torch.zeros(size, dtype=torch.bool, device=device)
        self.temperature, self.uniform = (
            torch.zeros(size, device=device),
            torch.zeros(size, width, device=device),
        )
        horizon = torch.zeros(size, dtype=torch.long, device=device)
        self.transcript = Transcript(horizon, width, model.end_ids)
        self.doses = Doses(self.twin, size, edits)
        self.doses.install()
        self.windows = windows(model)
        self.layers: list[SlotLayer] = []
        self.cache: Cache | None = None
        # greedy steps are a program of their own, without a distribution in it
        self._compiled = {warm: compiled(self._advance, device) for warm in (False, True)}

    def serves(self, model: Model, width: int, edits: int) -> bool:
        """Whether rows of this size fit, and the twin still has the model's weights as they are."""
        same = list(map(id, model.hf.parameters())) == list(map(id, self.twin.hf.parameters()))
        there = (model.device, model.dtype) == (self.token.device, self.doses.shift.dtype)
        return same and there and width <= self.width and edits <= self.doses.edits

    @torch.no_grad()
    def fill(self, model: Model, slots: Sequence[int], requests: Sequence[RolloutRequest]) -> None:
        """New rows at `slots`: prompts read together under their edits, first tokens chosen."""
        prefix = prefilled(model, requests)
        places = torch.tensor(slots, device=self.every.device)
        for layer, states in zip(self._room(prefix), prefix.states, strict=True):
            layer.put(places, states)
        self.doses.put(places, [request.edits for request in requests])
        self.start[places], self.place[places] = prefix.pads, max(len(r.prompt) for r in requests)
        temperature = [r.sampling.temperature for r in requests]
        self.temperature[places] = torch.tensor(temperature, device=places.device)
        self.uniform[places] = uniforms(requests, self.width).to(places.device)
        horizon = torch.tensor([r.horizon for r in requests], device=places.device)
        self.transcript.begin(places, horizon)
        self.alive[places] = True
        self._take(places, prefix.logits, is_warm(requests))

    def _room(self, prefix: Prefix) -> list[SlotLayer]:
        """The cache, made when the first keys and values show how large they are."""
        if not self.layers:
            self.layers = [SlotLayer(states, self.place, self.width) for states in prefix.states]
            self.cache = Cache(layers=list(self.layers))
            for tensor in self._static():
                # written in place and never moved: what a CUDA graph needs to know
                torch._dynamo.mark_static_address(tensor)
        return self.layers

    def _static(self) -> list[Tensor]:
        """Every tensor that a step reads or writes in place."""
        text = self.transcript
        rows = [self.token, self.start, self.place, self.alive, self.temperature, self.uniform]
        texts = [text.horizon, text.ends, text.tokens, text.count, text.ended, text.broken]
        states = [held for layer in self.layers for held in layer.held]
        return [*rows, self.every, *texts, *self.doses.tensors, *states]

    @torch.no_grad()
    def step(self, warm: bool) -> Tensor:
        """The logits [slot, vocab] of one more token in every slot; `warm`: some row is drawn.

        The next step overwrites them.
        """
        torch.compiler.cudagraph_mark_step_begin()
        logits: Tensor = self._compiled[warm](warm)
        return logits

    def _advance(self, warm: bool) -> Tensor:
        out = self.twin.hf(
            input_ids=self.token[:, None],
            position_ids=(self.place - self.start)[:, None],
            attention_mask=self._mask(),
            past_key_values=self.cache,
            use_cache=True,
        )
        logits: Tensor = out.logits[:, -1]
        # rows that are over say their last token at the same place again
        self.place += self.alive
        self._take(self.every, logits, warm)
        return logits

    def _take(self, slots: Tensor, logits: Tensor, warm: bool) -> None:
        finite = torch.isfinite(logits.sum(-1, dtype=torch.float32))
        uniform = self.uniform[slots, self.transcript.count[slots].clamp(max=self.width - 1)]
        chosen = choose(logits, self.temperature[slots], uniform, warm)
        self.alive[slots] = self.transcript.take(slots, self.alive[slots], chosen, finite)
        self.token[slots] = chosen

    def _mask(self) -> Tensor | dict[str, Tensor]:
        """What is added to attention scores, [slot, 1, 1, column].

        One for each kind of layer where a model has two.
        """
        columns = torch.arange(self.width, device=self.place.device)
        last = self.place[:, None]
        past = (columns >= self.start[:, None]) & (columns <= last)

        def additive(visible: Tensor) -> Tensor:
            zero = torch.zeros(visible.shape, dtype=self.twin.dtype, device=visible.device)
            return zero.masked_fill(~visible, torch.finfo(zero.dtype).min)[:, None, None]

        masks = {
            window: additive(past if window is None else past & (columns > last - window))
            for window in self.windows
        }
        if len(masks) == 1:
            return next(iter(masks.values()))
        return {
            "full_attention" if window is None else "sliding_attention": mask
            for window, mask in masks.items()
        }

    def over(self) -> list[bool]:
        """Which slots hold no row that speaks."""
        silent: list[bool] = (~self.alive).tolist()
        return silent

    def rollouts(self, slots: Sequence[int]) -> list[Rollout]:
        """The rollouts of the rows at `slots`, so far."""
        return self.transcript.rollouts(slots)


def twin(model: Model) -> Model:
    """The model again, of other modules around the same weights."""
    tensors = (*model.hf.parameters(), *model.hf.buffers())
    hf = copy.deepcopy(model.hf, {id(tensor): tensor for tensor in tensors})
    return Model(model.name, hf, model.tokenizer, model.folder, model.thinking)


def compiled(method: Any, device: torch.device) -> Callable[[bool], Tensor]:
    """A bound method compiled whole, its shapes fixed, as a CUDA graph on an accelerator.

    Its code is copied: compiled programs are kept by code object, eight at most, and guards do not
    see hooks.
    """
    function = method.__func__
    own = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    mode = "reduce-overhead" if device.type == "cuda" else None
    run: Callable[[bool], Tensor] = torch.compile(
        MethodType(own, method.__self__), fullgraph=True, dynamic=False, backend=BACKEND, mode=mode
    )
    return run
