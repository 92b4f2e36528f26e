"""Clean passes that read the stream: its statistics, single vectors, replies' log-probabilities."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from fulcra.errors import InputError
from fulcra.formulas.geometry import centred
from fulcra.models.adapter import Model
from fulcra.models.anchors import at_prompts
from fulcra.models.applying import applied_rows
from fulcra.models.batches import Batch, batches
from fulcra.models.effective import normed, probe
from fulcra.models.experts import Routed
from fulcra.models.read_hooks import block_outputs, last, mlp_inputs, mlp_outputs
from fulcra.models.unembedding import chosen_log_probs, final_vectors
from fulcra.types import Edits

#: Residual vectors kept per layer for the spread of the realised alignment.
SAMPLE = 256

Tokens = tuple[int, ...]


class Routing(NamedTuple):
    """The clean stream as each expert meets it, over the tokens routed to it.

    share and weight [layer, expert]: the share of tokens and their mean router weight; norm and
    unit_mean as in Stream, with an expert axis; sample [layer, pos, expert]: router weights at the
    stream's sample, 0 where not routed.
    """

    share: Tensor
    weight: Tensor
    norm: Tensor
    unit_mean: Tensor
    sample: Tensor


@dataclass(frozen=True, slots=True)
class Stream:
    """The clean residual stream at block outputs over generic continuation positions, BOS excluded.

    norm [layer] is the mean |r|; unit_mean [layer, d_model] the mean of r/|r|, so that c0 =
    unit_mean . v/|v| exactly; sample [layer, pos, d_model] some of the vectors. Mean-centred in
    LayerNorm families. float32, on the CPU. multiplier [layer] is the measured factor between an
    MLP's write and the stream. `mlp`, as `sample`, holds the MLP outputs before the norm of
    families that have one there; `routing` is known in mixtures of experts.
    """

    norm: Tensor
    unit_mean: Tensor
    sample: Tensor
    multiplier: Tensor
    mlp: Tensor | None = None
    routing: Routing | None = None


@final
class _Tally:
    """The running sums of one layer over batches; stays on the layer's device until it is read."""

    def __init__(self, experts: int, stride: int) -> None:
        self.experts, self.stride, self.count = experts, stride, 0
        self.sums: dict[str, Tensor] = {}
        self.samples: dict[str, list[Tensor]] = {}

    def add(self, residual: Tensor, wrote: Tensor | None, calls: Tensor | Routed | None) -> None:
        """One batch: residual [n, d_model] as later blocks read it.

        With what its MLP wrote and what its experts were called with, where these matter.
        """
        size, unit = residual.norm(dim=-1), normalize(residual, dim=-1)
        self._sum(norm=size.sum(), unit=unit.sum(0))
        vectors = {"sample": residual, "mlp": wrote}
        if isinstance(calls, Routed):
            routed = one_hot(calls.expert_ids, self.experts).float()
            met = routed.sum(1)
            weight = (routed * calls.weights.float()[..., None]).sum(1)
            self._sum(share=met.sum(0), weight=weight.sum(0))
            self._sum(expert_norm=size @ met, expert_unit=met.T @ unit)
            vectors["router"] = weight
        first = -self.count % self.stride
        for name, rows in vectors.items():
            if rows is not None:
                self.samples.setdefault(name, []).append(rows[first :: self.stride].float())
        self.count += len(residual)

    def _sum(self, **terms: Tensor) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term

    def total(self, name: str, *shape: int) -> Tensor:
        """A sum, or zeros of `shape` where this layer has none; on the CPU."""
        return self.sums[name].cpu() if name in self.sums else torch.zeros(shape)

    def sample(self, name: str, *shape: int) -> Tensor:
        """The sample called `name`, or zeros of `shape`; on the CPU."""
        if name not in self.samples:
            return torch.zeros(shape)
        return torch.cat(self.samples[name])[:SAMPLE].cpu()


@torch.no_grad()
def stream(
    model: Model, prompts: Sequence[Tokens], replies: Sequence[Tokens], batch: int = 16
) -> Stream:
    """Residual statistics over the replies of clean generic text; one forward pass a batch."""
    texts = [p + r for p, r in zip(prompts, replies, strict=True)]
    starts = [max(1, len(prompt)) for prompt in prompts]
    count = sum(max(0, len(text) - i) for text, i in zip(texts, starts, strict=True))
    if count == 0:
        raise InputError(
            "stream(): the generic text has no continuation positions; the model ends every reply"
            " at once"
        )
    tallies = [_Tally(model.n_experts, max(1, count // SAMPLE)) for _ in model.blocks]
    for part in batches(model, texts, batch):
        _tally_batch(model, part, starts[part.rows], tallies)
    return _stream_of(model, tallies, count)


@torch.no_grad()
def first_norms(model: Model, prompts: Sequence[Tokens]) -> Tensor:
    """Mean |r| at the first token of every prompt, [layer]; on the CPU.

    Many models write much more there than anywhere else (a sink), which no `Stream` counts.
    """

    def first(layer: int, values: Tensor) -> Tensor:
        return values[:, 0]

    starts = torch.tensor([prompt[:1] for prompt in prompts], device=model.device)
    with block_outputs(model, first) as outputs:
        model.hf(input_ids=starts, use_cache=False)
    norms = [as_read(model, outputs[i].float()).norm(dim=-1).mean() for i in range(model.n_layers)]
    return torch.stack([norm.cpu() for norm in norms])


def _tally_batch(
    model: Model, part: Batch, starts: Sequence[int], tallies: Sequence[_Tally]
) -> None:
    reply = part.mask.bool()
    for i, start in enumerate(starts):
        reply[i, :start] = False

    def replied(layer: int, values: Tensor) -> Tensor:
        return values[reply.to(values.device)]

    wrote: dict[int, Tensor] = {}
    calls: dict[int, Tensor | Routed] = {}
    with ExitStack() as stack:
        outputs = stack.enter_context(block_outputs(model, replied))
        if model.family.post_norm:
            wrote = stack.enter_context(mlp_outputs(model, len(part.ids), replied))
        if model.n_experts:
            calls = stack.enter_context(mlp_inputs(model, len(part.ids), replied))
        model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
    for layer, tally in enumerate(tallies):
        tally.add(as_read(model, outputs[layer].float()), wrote.get(layer), calls.get(layer))


def _stream_of(model: Model, tallies: Sequence[_Tally], count: int) -> Stream:
    sample = _sample(tallies, "sample")
    return Stream(
        _total(tallies, "norm") / count,
        _total(tallies, "unit") / count,
        sample,
        probe(model).multiplier,
        _sample(tallies, "mlp") if model.family.post_norm else None,
        _routing(model, tallies, count, sample.shape[1]) if model.n_experts else None,
    )


def _routing(model: Model, tallies: Sequence[_Tally], count: int, positions: int) -> Routing:
    experts = model.n_experts
    share = _total(tallies, "share", experts)
    tokens = share.clamp(min=1)
    unit = _total(tallies, "expert_unit", experts, model.d_model)
    return Routing(
        share / count,
        _total(tallies, "weight", experts) / tokens,
        _total(tallies, "expert_norm", experts) / tokens,
        unit / tokens[..., None],
        _sample(tallies, "router", positions, experts),
    )


def _total(tallies: Sequence[_Tally], name: str, *shape: int) -> Tensor:
    return torch.stack([tally.total(name, *shape) for tally in tallies])


def _sample(tallies: Sequence[_Tally], name: str, *shape: int) -> Tensor:
    return torch.stack([tally.sample(name, *shape) for tally in tallies])


@torch.no_grad()
def stream_before(model: Model, clean: Stream, layer: int) -> Tensor:
    """The sampled stream before the MLP's write over the multiplier, r_mid / k, [pos, d_model]."""
    assert clean.mlp is not None
    after = clean.sample[layer] / clean.multiplier[layer]
    return after - normed(model, layer, clean.mlp[layer]).cpu()


def as_read(model: Model, vectors: Tensor) -> Tensor:
    """Vectors as later blocks read them: mean-centred over d_model in LayerNorm families only."""
    return centred(vectors) if model.family.stream == "layer" else vectors


@torch.no_grad()
def reply_log_probs(
    model: Model,
    prompts: Sequence[Tokens],
    replies: Sequence[Tokens],
    edits: Sequence[Edits] | None = None,
    batch: int = 256,
) -> list[Tensor]:
    """Teacher-forced log-probability [nats] of each reply token, float32 [reply pos] a row.

    On the CPU. With `edits`, row i runs under edits[i]. Rows are padded on the right, so no
    position moves; only the positions that foresee a reply are unembedded.
    """
    texts = [p + r for p, r in zip(prompts, replies, strict=True)]
    rows: list[Tensor] = []
    for part in batches(model, texts, batch):
        dosed: Sequence[Edits] = [()] * len(part.ids)
        if edits is not None:
            dosed = at_prompts(model, edits[part.rows], prompts[part.rows])
        with applied_rows(model, dosed), final_vectors(model) as vectors:
            model.hf(**part.inputs, use_cache=False)
        rows += _chosen(model, vectors[-1], prompts[part.rows], replies[part.rows])
    return rows


def _chosen(
    model: Model, vectors: Tensor, prompts: Sequence[Tokens], replies: Sequence[Tokens]
) -> list[Tensor]:
    """Log-probabilities of each reply, from the final vectors [row, pos, d_model] of its text."""
    spans = [
        vectors[i, len(prompt) - 1 : len(prompt) - 1 + len(reply)]
        for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
    ]
    tokens = torch.tensor([token for reply in replies for token in reply], dtype=torch.long)
    chosen = chosen_log_probs(model, torch.cat(spans), tokens).cpu()
    return list(chosen.split([len(span) for span in spans]))


def last_residuals(model: Model, prompts: Sequence[Tokens], batch: int = 32) -> Iterator[Tensor]:
    """Block outputs on the last prompt token, one [batch, layer, d_model] float32 tensor a batch.

    On the CPU, as are those of `last_mlp_outputs`.
    """
    return _last(model, prompts, batch, lambda rows: block_outputs(model, last))


def last_mlp_outputs(model: Model, prompts: Sequence[Tokens], batch: int = 32) -> Iterator[Tensor]:
    """What the MLPs write on the last prompt token, before any norm; shapes of `last_residuals`."""
    return _last(model, prompts, batch, lambda rows: mlp_outputs(model, rows, last))


Taps = Callable[[int], AbstractContextManager[dict[int, Tensor]]]


def _last(model: Model, prompts: Sequence[Tokens], batch: int, taps: Taps) -> Iterator[Tensor]:
    for part in batches(model, prompts, batch, left=True):
        with torch.no_grad(), taps(len(part.ids)) as outputs:
            model.hf(**part.inputs, use_cache=False, logits_to_keep=1)
        layers = [outputs[layer].float().to(model.device) for layer in range(model.n_layers)]
        yield torch.stack(layers, 1).cpu()
