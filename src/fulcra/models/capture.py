"""Clean passes that read a model: residual stream statistics, neuron activations, log-probabilities
of replies.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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
from fulcra.models.effective import normed, probe
from fulcra.models.experts import Routed
from fulcra.models.read_hooks import (
    block_outputs,
    last,
    layer_activations,
    mlp_inputs,
    mlp_outputs,
    padded,
    positions_of,
)
from fulcra.types import Edits

__all__ = [
    "Stream",
    "activations",
    "as_read",
    "block_outputs",
    "last_residuals",
    "padded",
    "positions_of",
]
__all__ += ["last_mlp_outputs", "natural_extent", "reply_log_probs", "stream"]

#: Residual vectors kept per layer for the spread of the realised alignment.
SAMPLE = 256


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
        self.kept: dict[str, list[Tensor]] = {}

    def add(self, residual: Tensor, wrote: Tensor | None, seen: Tensor | Routed | None) -> None:
        """One batch: residual [n, d_model] as later blocks read it, MLP outputs and router calls
        where they matter.
        """
        size, unit = residual.norm(dim=-1), normalize(residual, dim=-1)
        self._sum(norm=size.sum(), unit=unit.sum(0))
        sample = {"sample": residual, "mlp": wrote}
        if isinstance(seen, Routed):
            routed = one_hot(seen.expert_ids, self.experts).float()
            here, weight = routed.sum(1), (routed * seen.weights.float()[..., None]).sum(1)
            self._sum(
                share=here.sum(0),
                weight=weight.sum(0),
                expert_norm=size @ here,
                expert_unit=here.T @ unit,
            )
            sample["router"] = weight
        first = -self.count % self.stride
        for name, rows in sample.items():
            if rows is not None:
                self.kept.setdefault(name, []).append(rows[first :: self.stride].float())
        self.count += len(residual)

    def _sum(self, **more: Tensor) -> None:
        for name, one in more.items():
            self.sums[name] = self.sums[name] + one if name in self.sums else one

    def read(self, name: str, *shape: int) -> Tensor:
        """A sum, or zeros of `shape` where this layer has none; on the CPU."""
        return self.sums[name].cpu() if name in self.sums else torch.zeros(shape)

    def sample(self, name: str, *shape: int) -> Tensor:
        """The sample kept under `name`, or zeros of `shape`; on the CPU."""
        return (
            torch.cat(self.kept[name])[:SAMPLE].cpu() if name in self.kept else torch.zeros(shape)
        )


@torch.no_grad()
def stream(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    replies: Sequence[tuple[int, ...]],
    batch: int = 16,
) -> Stream:
    """Residual statistics over the reply positions of clean generic text: one forward pass a
    batch.
    """
    texts = list(zip(prompts, replies, strict=True))
    count = sum(max(0, len(p) + len(r) - max(1, len(p))) for p, r in texts)
    if count == 0:
        raise InputError(
            "stream(): the generic text has no continuation positions; the model ends every reply"
            " at once"
        )
    tallies = [_Tally(model.n_experts, max(1, count // SAMPLE)) for _ in model.blocks]
    for start in range(0, len(texts), batch):
        _read_batch(model, texts[start : start + batch], tallies)
    return _learnt(model, tallies, count)


def _read_batch(
    model: Model,
    texts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    tallies: Sequence[_Tally],
) -> None:
    ids, mask = padded([p + r for p, r in texts], model.device)
    reply = mask.bool().clone()
    for i, (prompt, _) in enumerate(texts):
        reply[i, : max(1, len(prompt))] = False

    def at(layer: int, seen: Tensor) -> Tensor:
        return seen[reply.to(seen.device)]

    wrote: dict[int, Tensor] = {}
    seen: dict[int, Tensor | Routed] = {}
    with ExitStack() as stack:
        outputs = stack.enter_context(block_outputs(model, at))
        if model.family.post_norm:
            wrote = stack.enter_context(mlp_outputs(model, len(texts), at))
        if model.n_experts:
            seen = stack.enter_context(mlp_inputs(model, len(texts), at))
        model.hf(input_ids=ids, attention_mask=mask, use_cache=False)
    for layer, tally in enumerate(tallies):
        tally.add(as_read(model, outputs[layer].float()), wrote.get(layer), seen.get(layer))


def _learnt(model: Model, tallies: Sequence[_Tally], count: int) -> Stream:
    def all_of(name: str, *shape: int) -> Tensor:
        return torch.stack([tally.read(name, *shape) for tally in tallies])

    sample = torch.stack([tally.sample("sample") for tally in tallies])
    mlp = (
        torch.stack([tally.sample("mlp") for tally in tallies]) if model.family.post_norm else None
    )
    routing = None
    if experts := model.n_experts:
        share = all_of("share", experts)
        some = share.clamp(min=1)
        router = torch.stack(
            [tally.sample("router", sample.shape[1], experts) for tally in tallies]
        )
        unit = all_of("expert_unit", experts, model.d_model) / some[..., None]
        routing = Routing(
            share / count,
            all_of("weight", experts) / some,
            all_of("expert_norm", experts) / some,
            unit,
            router,
        )
    return Stream(
        all_of("norm") / count,
        all_of("unit") / count,
        sample,
        probe(model).multiplier,
        mlp,
        routing,
    )


@torch.no_grad()
def stream_before(model: Model, clean: Stream, layer: int) -> Tensor:
    """The sampled stream before the MLP's write, over the residual multiplier: r_mid / k, [pos,
    d_model].
    """
    assert clean.mlp is not None
    return (
        clean.sample[layer] / clean.multiplier[layer] - normed(model, layer, clean.mlp[layer]).cpu()
    )


def as_read(model: Model, vectors: Tensor) -> Tensor:
    """Vectors as later blocks read them: mean-centred over d_model in LayerNorm families, unchanged
    elsewhere.
    """
    return centred(vectors) if model.family.stream == "layer" else vectors


def activations(
    model: Model, prompts: Sequence[tuple[int, ...]], batch: int = 32, span: int = 1
) -> Iterator[Tensor]:
    """Mean neuron activations over the last `span` prompt tokens, one [batch, layer, d_mlp] float32
    tensor a batch, on the model's device.

    In a mixture the neurons of all experts stand one after another (`Model.neuron` names them), 0
    where not routed.
    """
    if prompts and span > min(map(len, prompts)):
        raise InputError(
            f"activations() got span {span}, and the shortest prompt has {min(map(len, prompts))}"
            " tokens; ask for fewer"
        )

    def ends(layer: int, seen: Tensor) -> Tensor:
        return seen[:, -span:].flatten(0, 1)

    for start in range(0, len(prompts), batch):
        ids, mask = padded(prompts[start : start + batch], model.device, left=True)
        with torch.no_grad(), mlp_inputs(model, len(ids), ends) as seen:
            model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions_of(mask),
                use_cache=False,
                logits_to_keep=1,
            )
            found = [
                layer_activations(model, layer, seen[layer]).to(model.device)
                for layer in range(model.n_layers)
            ]
        yield torch.stack(found, 1).unflatten(0, (len(ids), span)).mean(1)


def reply_log_probs(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    replies: Sequence[tuple[int, ...]],
    edits: Sequence[Edits] | None = None,
    batch: int = 256,
) -> list[Tensor]:
    """Log-probability (nats) of each reply token, teacher-forced; one float32 tensor [reply length]
    a row.

    With `edits`, row i runs under edits[i]. Rows are padded on the right, so no position moves.
    """
    out: list[Tensor] = []
    for start in range(0, len(prompts), batch):
        some = slice(start, start + batch)
        rows = [p + r for p, r in zip(prompts[some], replies[some], strict=True)]
        ids, mask = padded(rows, model.device)
        dosed = (
            at_prompts(model, edits[some], prompts[some]) if edits is not None else [()] * len(rows)
        )
        with torch.no_grad(), applied_rows(model, dosed):
            logits = model.hf(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for i, (prompt, reply) in enumerate(zip(prompts[some], replies[some], strict=True)):
            span = logits[i, len(prompt) - 1 : len(rows[i]) - 1].float().log_softmax(-1)
            out.append(
                span.gather(-1, torch.tensor(reply, device=span.device, dtype=torch.long)[:, None])[
                    :, 0
                ].cpu()
            )
    return out


def last_residuals(
    model: Model, prompts: Sequence[tuple[int, ...]], batch: int = 32
) -> Iterator[Tensor]:
    """Residual stream at block outputs on the last prompt token, one [batch, layer, d_model]
    float32 tensor a batch.
    """
    for start in range(0, len(prompts), batch):
        ids, mask = padded(prompts[start : start + batch], model.device, left=True)
        with torch.no_grad(), block_outputs(model, last) as outputs:
            model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions_of(mask),
                use_cache=False,
                logits_to_keep=1,
            )
        yield torch.stack(
            [outputs[layer].float().to(model.device) for layer in range(model.n_layers)], 1
        ).cpu()


def last_mlp_outputs(
    model: Model, prompts: Sequence[tuple[int, ...]], batch: int = 32
) -> Iterator[Tensor]:
    """What the MLPs write at the last prompt token, before any norm, one [batch, layer, d_model]
    float32 tensor a batch.
    """
    for start in range(0, len(prompts), batch):
        ids, mask = padded(prompts[start : start + batch], model.device, left=True)
        with torch.no_grad(), mlp_outputs(model, len(ids), last) as outputs:
            model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions_of(mask),
                use_cache=False,
                logits_to_keep=1,
            )
        yield torch.stack(
            [outputs[layer].float().to(model.device) for layer in range(model.n_layers)], 1
        ).cpu()


@torch.no_grad()
def natural_extent(model: Model, rows: Sequence[tuple[int, ...]], batch: int = 32) -> Tensor:
    """Largest |activation| of every neuron over all positions of `rows` but the first, [layer,
    d_mlp], float32.

    In a mixture over the tokens routed to its expert, 0 where there are none.
    """
    extent = torch.zeros(model.n_layers, model.d_mlp, device=model.device)
    for start in range(0, len(rows), batch):
        ids, mask = padded(rows[start : start + batch], model.device)
        real = mask.bool()
        real[:, 0] = False

        def at(layer: int, seen: Tensor, real: Tensor = real) -> Tensor:
            some = seen[real.to(seen.device)]
            return some.abs().amax(0, keepdim=True) if model.experts(layer) is None else some

        with mlp_inputs(model, len(ids), at) as found:
            model.hf(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
        for layer, seen in found.items():
            extent[layer] = torch.maximum(
                extent[layer], layer_activations(model, layer, seen).abs().amax(0).to(extent.device)
            )
    return extent.cpu()
