"""Neurons for Neuronpedia: recipes as steering vectors, readings as a batch of dashboards."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.effective import probe
from fulcra.models.lens import write_logits
from fulcra.models.reading import Activations
from fulcra.store import write_json
from fulcra.studies.recipe import Recipe
from fulcra.types import Direction, Edit, Neuron

Floats = NDArray[np.float64]
#: Tokens that a dashboard shows of each end of the logits, and bars of a histogram.
WORDS, BARS = 10, 50
#: What Neuronpedia reads in place of an interval for texts chosen by their largest activation.
TOP = -1.0, 99.0, -1.0


class SteeringVector(NamedTuple):
    """The arguments of `NPVector.new` of the neuronpedia package; vector [d_model]."""

    label: str
    model_id: str
    layer_num: int
    hook_type: str
    vector: list[float]
    default_steer_strength: float


def vectors_of(model: Model, recipe: Recipe, model_id: str) -> list[SteeringVector]:
    """What each additive edit writes into the stream after its block, its dose the strength.

    `model_id` is the model's name at Neuronpedia. InputError with the reason for any other edit, a
    recipe of other weights, or one of a sensitive behavior. Cost: two short passes.
    """
    edits, multiplier = recipe.for_others().require(model).edits, probe(model).multiplier
    for edit in edits:
        _require_written(model, edit)
    return [
        SteeringVector(
            label=f"{recipe.name}: {edit.site}",
            model_id=model_id,
            layer_num=edit.site.layer,
            hook_type="hook_resid_post",
            vector=_written(model, edit, multiplier).tolist(),
            default_steer_strength=edit.value,
        )
        for edit in edits
    ]


def _require_written(model: Model, edit: Edit) -> None:
    """InputError unless the edit adds one constant vector to its block's output, everywhere."""
    reason = None
    if edit.op not in ("add", "add_vector", "add_mlp"):
        reason = "what it adds depends on the activation; give an additive dose"
    elif edit.positions != "all":
        reason = f"it was made for positions {edit.positions!r}; make it for 'all'"
    elif isinstance(edit.site, Neuron) and edit.site.expert is not None:
        reason = "the router decides how much an expert's neuron writes; choose a dense layer"
    elif edit.op != "add_vector" and model.post_norm(edit.site.layer) is not None:
        reason = f"a norm follows the MLP ({model.family.post_norm}); give a vector of the stream"
    if reason:
        raise InputError(f"{edit}: no steering vector does this: {reason}")


def _written(model: Model, edit: Edit, multiplier: Tensor) -> Tensor:
    """What one unit of an additive edit writes, [d_model], float32 on the CPU."""
    site = edit.site
    written = site.vector.float() if isinstance(site, Direction) else model.write(site)
    return written.cpu() * (1 if edit.op == "add_vector" else multiplier[site.layer])


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DashboardText(_Part):
    """A branch's activations at every token of one text, 0 on the other pole."""

    bin_min: float = TOP[0]
    bin_max: float = TOP[1]
    bin_contains: float = TOP[2]
    tokens: list[str]
    values: list[float]
    qualifying_token_index: int


class DashboardFeature(_Part):
    """One branch; what fulcra does not measure is left out, as Neuronpedia allows."""

    feature_index: int
    neg_str: list[str]
    neg_values: list[float]
    pos_str: list[str]
    pos_values: list[float]
    frac_nonzero: float
    freq_hist_data_bar_values: list[float]
    freq_hist_data_bar_heights: list[float]
    logits_hist_data_bar_values: list[float]
    logits_hist_data_bar_heights: list[float]
    n_prompts_total: int
    n_tokens_in_prompt: int
    dataset: str
    activations: list[DashboardText]
    vector: list[float] = Field(description="write direction by its pole, d_model numbers")


class Dashboards(_Part):
    """A batch of dashboards of one layer, as SAEDashboard writes and Neuronpedia imports it."""

    model_id: str
    layer: int
    sae_set: str
    sae_id_suffix: str | None = None
    features: list[DashboardFeature]

    def save(self, path: str | Path) -> Path:
        """Write the batch as JSON, numbers with six digits; returns its path."""
        write_json(Path(path), self.model_dump())
        return Path(path)


def dashboards_of(
    model: Model, reading: Activations, model_id: str, dataset: str, source: str = "mlp"
) -> Dashboards:
    """The dashboards of what `fulcra.read` gave, a feature a branch: max(0, pole * activation).

    `dataset` names the texts, `source` the set of features. InputError unless the branches are of
    one layer, each neuron on one pole, outside of experts.
    """
    _require_one_layer(reading.neurons)
    features = [_feature(model, reading, row, dataset) for row in range(len(reading.neurons))]
    layer = reading.neurons[0].layer
    return Dashboards(model_id=model_id, layer=layer, sae_set=source, features=features)


def _require_one_layer(neurons: Sequence[Neuron]) -> None:
    sites = {(neuron.layer, neuron.index) for neuron in neurons}
    experts = any(neuron.expert is not None for neuron in neurons)
    if experts or len({layer for layer, _ in sites}) != 1 or len(sites) < len(neurons):
        raise InputError(
            f"dashboards: {', '.join(map(str, neurons[:4]))}: a batch is of one layer without"
            " experts, each neuron on one pole; make one a layer and pole"
        )


def _feature(model: Model, reading: Activations, row: int, dataset: str) -> DashboardFeature:
    branch = reading.neurons[row]
    values = [text[:, row].double() * branch.pole for text in reading.values]
    rows = [text.clamp(min=0).numpy() for text in values]
    every, logits = np.concatenate(rows), write_logits(model, branch)
    positive, negative = (_ends(model, logits, largest) for largest in (True, False))
    activations, words = _histogram(every[every > 0]), _histogram(logits.double().numpy())
    return DashboardFeature(
        feature_index=branch.index,
        neg_str=negative.tokens,
        neg_values=negative.logits,
        pos_str=positive.tokens,
        pos_values=positive.logits,
        frac_nonzero=float((every > 0).mean()),
        freq_hist_data_bar_values=activations.middles,
        freq_hist_data_bar_heights=activations.heights,
        logits_hist_data_bar_values=words.middles,
        logits_hist_data_bar_heights=words.heights,
        n_prompts_total=len(rows),
        n_tokens_in_prompt=max(map(len, rows)),
        dataset=dataset,
        activations=_texts(reading, rows),
        vector=(model.write(branch).cpu() * branch.pole).tolist(),
    )


def _texts(reading: Activations, rows: Sequence[Floats]) -> list[DashboardText]:
    """The texts, that of the largest activation first."""
    order = sorted(range(len(rows)), key=lambda text: -float(rows[text].max()))
    return [
        DashboardText(
            tokens=list(reading.tokens[text]),
            values=rows[text].tolist(),
            qualifying_token_index=int(rows[text].argmax()),
        )
        for text in order
    ]


class _Ends(NamedTuple):
    """The tokens at one end of the logits, the most extreme first."""

    tokens: list[str]
    logits: list[float]


def _ends(model: Model, logits: Tensor, largest: bool) -> _Ends:
    best = logits.topk(min(WORDS, len(logits)), largest=largest)
    return _Ends(
        [model.pieces([token])[0] for token in best.indices.tolist()], best.values.tolist()
    )


class _Histogram(NamedTuple):
    """The middle of every bar and the number of values in it."""

    middles: list[float]
    heights: list[float]


def _histogram(values: Floats) -> _Histogram:
    if not len(values):
        return _Histogram([], [])
    heights, edges = np.histogram(values, bins=BARS)
    return _Histogram(((edges[1:] + edges[:-1]) / 2).tolist(), heights.astype(float).tolist())
