"""Token by token: a batch of rows that share what they can and leave when they are over."""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from fulcra.engines.beginnings import PREFIX, read_beginning, shared_prefix
from fulcra.engines.cache import arrange, row_cache, row_layers
from fulcra.engines.incidents import NotFinite
from fulcra.engines.memory import is_out_of_memory
from fulcra.engines.sampling import choose, is_warm, uniforms
from fulcra.engines.transcript import Transcript
from fulcra.engines.trunk import Share, Trunk, entry_layer, split_writes, widened
from fulcra.errors import InputError
from fulcra.models import Model, applied_rows
from fulcra.models.anchors import at_prompts
from fulcra.models.finite import first_broken
from fulcra.types import Edit, Op, Rollout, RolloutRequest

logger = logging.getLogger(__name__)

#: Rows that are over stay in the batch until they are this share of it: to leave costs a copy of
#: the cache.
LEAVING = 0.15


@final
class _Decoder:
    """One batch while it is decoded: rows by the layer they enter at, their cache and trunk.

    A row holds the first `begun` tokens, which all prompts share and which are read once a dose,
    then pads, then the rest of its prompt.
    """

    def __init__(
        self,
        model: Model,
        requests: Sequence[RolloutRequest],
        entry: Sequence[int],
        begun: int = 0,
    ) -> None:
        self.model, self.begun, device = model, begun, model.device
        self.width = max(len(r.prompt) for r in requests)
        self.horizon = max(r.horizon for r in requests)
        self.cache = row_cache(model, self.width + self.horizon)
        self.layers = row_layers(self.cache)
        order = sorted(range(len(requests)), key=entry.__getitem__)
        self.requests = [requests[i] for i in order]
        self.rows = torch.arange(len(requests), device=device)
        self.alive = torch.ones(len(requests), dtype=torch.bool, device=device)
        prompts: dict[tuple[int, ...], int] = {}
        history = [prompts.setdefault(r.prompt, len(prompts)) for r in self.requests]
        self.trunk = Trunk([entry[i] for i in order], history, model.n_layers, device)
        self.transcript = Transcript(
            torch.tensor([r.horizon for r in self.requests], device=device),
            self.horizon,
            model.end_ids,
        )
        self.pads = torch.tensor([self.width - len(r.prompt) for r in self.requests], device=device)
        self.temperature = torch.tensor(
            [r.sampling.temperature for r in self.requests], device=device
        )
        self.warm = is_warm(requests)
        self.uniform = uniforms(self.requests, self.horizon).to(device)
        self.back = torch.tensor(order).argsort().tolist()
        self.chosen = torch.zeros(0)

    @contextmanager
    def _running(self) -> Iterator[None]:
        if self.begun:
            read_beginning(self.model, self.cache, self.trunk, self.requests, self.begun)
        hooked, writes = split_writes(
            self.model, [r.edits for r in self.requests], self.trunk.entry.tolist()
        )
        with (
            applied_rows(self.model, hooked) as self.applied,
            widened(self.model, self.trunk, writes, self.applied) as self.widening,
        ):
            yield

    def decode(self) -> list[Rollout]:
        """The rollouts of the requests, in their order."""
        for _ in self.tokens():
            pass
        rollouts = self.rollouts()
        name_broken(self.model, [self.requests[i] for i in self.back], rollouts)
        return rollouts

    def tokens(self) -> Generator[None]:
        """One more token a row each time; the edits are in force until this ends or is closed."""
        with self._running():
            for step in range(self.horizon):
                self._take(step, self._forward(step))
                yield
                if not self._arrange():
                    break
        if any(r.edits for r in self.requests) and self.applied.passes == 0:
            raise never_acted()

    def rollouts(self) -> list[Rollout]:
        """The rollouts so far, in the order of the requests."""
        rollouts = self.transcript.rollouts()
        return [rollouts[i] for i in self.back]

    def first_logits(self, steps: int) -> Tensor:
        """The logits of the first greedy steps, [step, request, vocab]; no row leaves."""
        out = []
        with self._running():
            for step in range(steps):
                out.append(self._forward(step))
                self.chosen = out[-1].argmax(-1)
                self._arrange()
        return torch.stack(out)[:, self.back]

    def _forward(self, step: int) -> Tensor:
        base = self.trunk.base()
        ids = self._prompts(base) if step == 0 else self.chosen[base, None]
        pads = self.pads[base]
        places = torch.arange(self.width + step, device=base.device)
        mask = ((places < self.begun) | (places >= self.begun + pads[:, None])).long()
        positions = (places[-ids.shape[1] :] - pads[:, None]).clamp_(min=0)
        self.widening.set()
        out = self.model.hf(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = out.logits[:, -1]
        return logits

    def _prompts(self, base: Tensor) -> Tensor:
        rows = [self.requests[i].prompt for i in base.tolist()]
        return torch.tensor(
            [(0,) * (self.width - len(row)) + row[self.begun :] for row in rows],
            device=base.device,
        )

    def _take(self, step: int, logits: Tensor) -> None:
        finite = torch.isfinite(logits.sum(-1, dtype=torch.float32))
        self.chosen = choose(
            logits, self.temperature[self.rows], self.uniform[self.rows, step], self.warm
        )
        self.alive = self.transcript.take(self.rows, self.alive, self.chosen, finite)

    def _arrange(self) -> bool:
        """Whether any row still speaks, after the batch has made room.

        Rows that are over leave when they are many, and trunk rows split where the tokens of their
        rows differ.
        """
        own, before = self.trunk.own, self.trunk.shared
        speaking = self.alive.nonzero()[:, 0]
        if not len(speaking):
            return False
        leave = len(self.alive) - len(speaking) >= LEAVING * len(self.alive)
        if leave:
            self._select(speaking)
        parents = self.trunk.regroup(self.chosen, self.alive)
        if leave or not self.trunk.still or self.trunk.shared != before:
            places = speaking if leave else None
            arrange(self.cache, own, self.trunk, places, parents, self.trunk.still)
        return True

    def _select(self, places: Tensor) -> None:
        """The batch goes on with the rows at `places`; their cache is arranged afterwards."""
        self.applied.select(places, len(self.alive))
        self.trunk.select(places)
        self.rows, self.alive = self.rows[places], self.alive[places]
        self.chosen, self.pads = self.chosen[places], self.pads[places]


@torch.no_grad()
def decode(
    model: Model, requests: Sequence[RolloutRequest], share: Share | None = None
) -> list[Rollout]:
    """The rollouts of one batch, in the order of the requests.

    What rows have in common below their edits is computed once, as far as `shared` has measured
    that it may be; `share` says otherwise.
    """
    return _in_parts(model, requests, share).decode()


@torch.no_grad()
def first_logits(model: Model, requests: Sequence[RolloutRequest]) -> Tensor:
    """The logits of the first two greedy steps by full passes, [step, request, vocab].

    Faster passes are held against them.
    """
    return _Decoder(model, requests, [0] * len(requests)).first_logits(2)


@torch.no_grad()
def grown(model: Model, requests: Sequence[RolloutRequest]) -> Iterator[list[Rollout]]:
    """The rollouts of one batch as they grow, a token at a time; the last are those of `decode`.

    The edits are in force between two tokens: run nothing else on the model until this has ended or
    is closed.
    """
    decoder = _in_parts(model, requests, None)
    with closing(decoder.tokens()) as tokens:
        for _ in tokens:
            yield decoder.rollouts()


def sized(model: Model, requests: Sequence[RolloutRequest]) -> list[RolloutRequest]:
    """The requests with their anchors as pins, each sized by its prompt."""
    rows = at_prompts(model, [r.edits for r in requests], [r.prompt for r in requests])
    return [
        r if edits == r.edits else replace(r, edits=edits)
        for r, edits in zip(requests, rows, strict=True)
    ]


def _decoder(model: Model, requests: Sequence[RolloutRequest], share: Share | None) -> _Decoder:
    requests = sized(model, requests)
    if share is None:
        share = shared(model) if any(r.edits for r in requests) else "none"
    return _Decoder(model, requests, _entries(model, requests, share))


def _in_parts(model: Model, requests: Sequence[RolloutRequest], share: Share | None) -> _Decoder:
    """The same, what all prompts begin with read once a dose where that pays."""
    begun = shared_prefix(model, requests) if share is None else 0
    decoder = _decoder(model, requests, share)
    if begun and reads_in_parts(model):
        decoder.begun = begun
    return decoder


def _entries(model: Model, requests: Sequence[RolloutRequest], share: Share) -> list[int]:
    """The layer at which each row leaves what it shares with others."""
    return [entry_layer(r.edits, model.n_layers, share) for r in requests]


def name_broken(
    model: Model, requests: Sequence[RolloutRequest], rollouts: Sequence[Rollout]
) -> None:
    """A warning where rollouts met numbers that are not finite; it names the first such neuron."""
    if (met := not_finite(model, requests, rollouts)) is None:
        return
    place = "" if met.first is None else f" at {met.first}"
    problem = f"{met.rows} of {met.of} rows met numbers that are not finite and stay unscored"
    logger.warning("%s: %s; the first%s under %s", model.name, problem, place, met.edits)


def not_finite(
    model: Model, requests: Sequence[RolloutRequest], rollouts: Sequence[Rollout]
) -> NotFinite | None:
    """How many rollouts met numbers that are not finite, and where the first did; None without any.

    Cost: one pass where some did.
    """
    broken = [i for i, rollout in enumerate(rollouts) if not rollout.finite]
    if not broken:
        return None
    request, rollout = sized(model, [requests[broken[0]]])[0], rollouts[broken[0]]
    neuron = first_broken(model, request.prompt + rollout.tokens, request.edits)
    edits = ", ".join(map(str, request.edits)) or "no edit"
    first = None if neuron is None else neuron.site
    return NotFinite("", len(broken), len(rollouts), first, edits)


def never_acted() -> InputError:
    """The error where every edit of a batch has positions that do not occur."""
    return InputError(
        "run(): the edits of this batch never acted; their positions do not occur in these rollouts"
    )


_SHARED: "WeakKeyDictionary[PreTrainedModel, Share]" = WeakKeyDictionary()
#: Largest difference of logits, relative to the largest logit, between a shared and a full pass.
LOGIT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}


def shared(model: Model) -> Share:
    """How much rows may share in this model: the most that gives the logits of a full pass.

    Measured once a model, on a few tokens.
    """
    if model.hf not in _SHARED:
        _SHARED[model.hf] = (
            _measured(model) if row_layers(row_cache(model, 1)) is not None else "none"
        )
    return _SHARED[model.hf]


_IN_PARTS: "WeakKeyDictionary[PreTrainedModel, bool]" = WeakKeyDictionary()


@torch.no_grad()
def reads_in_parts(model: Model) -> bool:
    """Whether prompts read in two parts, pads between them, give the logits of whole ones.

    Measured once a model, on a few tokens.
    """
    if model.hf not in _IN_PARTS:
        # pads of unequal number stand between the parts of the shorter prompt
        prompts = [tuple(5 + (7 * i) % (model.vocab - 5) for i in range(n)) for n in (6, 9)]
        edits = list(dict.fromkeys(request.edits for request in probes(model)))
        requests = [RolloutRequest(prompt, edit, 2) for edit in edits for prompt in prompts]
        decoder = _Decoder(model, requests, _entries(model, requests, shared(model)), PREFIX)
        full = first_logits(model, requests)
        distance = float((full - decoder.first_logits(2)).abs().max() / full.abs().max())
        _IN_PARTS[model.hf] = distance <= logit_tolerance(model)
    return _IN_PARTS[model.hf]


def logit_tolerance(model: Model) -> float:
    """The largest difference allowed between a faster pass and a full one, relative to a logit.

    To the largest logit of the full pass.
    """
    return LOGIT_TOLERANCE.get(model.dtype, 5e-2)


def probes(model: Model) -> list[RolloutRequest]:
    """Sixteen short requests on which faster passes are held against full ones.

    Dosed and scaled in layers from the first to the last.
    """
    prompts = [
        tuple(5 + (7 * i + row) % (model.vocab - 5) for i in range(3 + 2 * row)) for row in range(2)
    ]
    layers = [row * (model.n_layers - 1) // 3 for row in range(4)]
    ops: tuple[Op, ...] = ("add", "scale")
    edits = [(Edit(model.neuron(layer, layer), op, 1.5),) for layer in layers for op in ops]
    return [RolloutRequest(prompt, edit, 2) for edit in edits for prompt in prompts]


@torch.no_grad()
def _measured(model: Model) -> Share:
    requests = probes(model)

    def logits(share: Share) -> Tensor:
        return _Decoder(model, requests, _entries(model, requests, share)).first_logits(2)

    full = first_logits(model, requests)
    # behind a norm of its own an MLP's write is no multiple of one column
    shares: tuple[Share, ...] = ("block",) if model.family.post_norm else ("write", "block")
    for share in shares:
        try:
            distance = float((full - logits(share)).abs().max() / full.abs().max())
        except (IndexError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            logger.warning("%s: rows cannot share by %r: %s", model.name, share, error)
            continue
        if distance <= logit_tolerance(model):
            return share
        logger.warning(
            "%s: a pass shared by %r differs from a full one by %.2g", model.name, share, distance
        )
    return "none"
