"""Does vLLM run the model itself, and do edits act in it? A few dosed tokens at its start."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fulcra.engines.decoding import first_logits, logit_tolerance
from fulcra.engines.vllm.plan import Graphs, kind_of
from fulcra.errors import ModelError
from fulcra.models import Model
from fulcra.types import Direction, Edit, Neuron, Op, RolloutRequest

if TYPE_CHECKING:
    from fulcra.engines.vllm.engine import VllmEngine

#: Doses that are tried until one moves the logits [activation units, multiples of a vector].
DOSES = tuple(4.0**power for power in range(9))
#: A dose counts where it moves a logit by so many tolerances, relative to the largest logit.
MOVED = 4.0


class _Probe(NamedTuple):
    """A request with the model's own logits after its prompt, [vocab]."""

    request: RolloutRequest
    logits: Tensor


def require_steered(engine: "VllmEngine", model: Model) -> dict[str, str]:
    """The kinds of edit that vLLM does not run as the model does, with the reason; often none.

    ModelError where the undosed logits differ already, or where a neuron's dose does not act.
    """
    clean, dosed = _probes(model, engine.options.graphs)
    requests = [probe.request for probe in (clean, *dosed)]
    engine.logits.clear()
    for _ in engine.rolled(requests, first_logits=True):
        pass
    logits = [torch.tensor(engine.logits[i]) for i in range(len(requests))]
    engine.logits.clear()
    who = f"model {model.name!r}: vLLM {engine.version}"
    tolerance = logit_tolerance(model)
    # written so that a difference that is no number is none that is allowed
    if not (apart := _apart(clean.logits, logits[0])) <= tolerance:
        raise ModelError(
            f"{who} gives other logits without any edit: {apart:.2g} of the largest apart, where"
            f" {tolerance:g} is allowed; use --engine local"
        )
    unfit: dict[str, str] = {}
    for probe, mine in zip(dosed, logits[1:], strict=True):
        if not (apart := _apart(probe.logits, mine)) <= tolerance:
            kind = kind_of(probe.request.edits[0])
            unfit.setdefault(kind, _reason(who, probe, mine, logits[0], apart))
    if "neuron" in unfit:
        raise ModelError(unfit["neuron"])
    return unfit


def _reason(who: str, probe: _Probe, mine: Tensor, clean: Tensor, apart: float) -> str:
    act = "does not act" if torch.equal(mine, clean) else f"moves logits by {apart:.2g} otherwise"
    edit = ", ".join(map(str, probe.request.edits))
    return f"{who} runs unsteered: {edit} {act}; use --engine local"


def _apart(theirs: Tensor, mine: Tensor) -> float:
    """The largest difference of two rows of logits, relative to the largest logit."""
    return float((theirs - mine).abs().max() / theirs.abs().max())


def _probes(model: Model, graphs: Graphs) -> tuple[_Probe, list[_Probe]]:
    """The undosed probe, and for each site the one of the smallest dose that moves the logits."""
    prompt = tuple(5 + (7 * i) % (model.vocab - 5) for i in range(4))
    sites = list(_sites(model, graphs))
    requests = [RolloutRequest(prompt, (), 2)]
    requests += [RolloutRequest(prompt, (edit,), 2) for edits in sites for edit in edits]
    logits = torch.cat([_logits(model, requests[i : i + 16]) for i in range(0, len(requests), 16)])
    clean, *dosed = map(_Probe, requests, logits)
    out = list[_Probe]()
    for edits in sites:
        tried, dosed = dosed[: len(edits)], dosed[len(edits) :]
        out += [probe for probe in tried if _moves(model, clean.logits, probe.logits)][:1]
    if not out:
        raise ModelError(
            f"model {model.name!r}: no dose up to {DOSES[-1]:g} moves its logits, so that nobody"
            " can tell whether vLLM's edits act; use --engine local"
        )
    return clean, out


def _logits(model: Model, requests: Sequence[RolloutRequest]) -> Tensor:
    """The model's logits after each prompt, [request, vocab], float32, on the CPU."""
    return first_logits(model, requests)[0].float().cpu()


def _moves(model: Model, clean: Tensor, dosed: Tensor) -> bool:
    return bool(dosed.isfinite().all()) and _apart(clean, dosed) > MOVED * logit_tolerance(model)


def _sites(model: Model, graphs: Graphs) -> Iterator[list[Edit]]:
    """Edits by growing dose at neurons of the first, middle and last layer, then of every kind.

    The first and the last neuron: workers that share a layer hold one each.
    """
    op: Op = "scale" if graphs == "lora" else "add"
    for layer in dict.fromkeys((0, model.n_layers // 2, model.n_layers - 1)):
        for index in (0, model.width(layer) - 1):
            yield [Edit(Neuron(layer, index), op, dose) for dose in DOSES]
    if graphs == "lora":
        return
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(model.d_model, generator=generator)
    site = Direction(model.n_layers // 2, "probe", vector)
    ops: tuple[Op, ...] = ("add_vector", "add_mlp")
    for op in ops:
        yield [Edit(site, op, dose) for dose in DOSES]
    yield [Edit(site, "ablate_direction", 1.0)]
