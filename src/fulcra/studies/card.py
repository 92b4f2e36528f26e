"""The card of one neuron: its geometry, both predicted windows, what its write says, ranks,
exemplars, measured windows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.geometry import chance_of_cosine, cosine, expected_max_cosine
from fulcra.formulas.intervals import log2_margin
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.law.verdict import law_verdict
from fulcra.models import Model
from fulcra.models.capture import Stream, stream
from fulcra.models.coordinate import coordinate
from fulcra.models.lens import write_logits
from fulcra.protocol.runs import SCHEMA_VERSION, model_entry, versions
from fulcra.protocol.subject import openings_of
from fulcra.screens.directions import difference_directions
from fulcra.screens.scores import contrast_of, gain_units, ranked
from fulcra.store import AUDIT, EXEMPLARS, plain, read_json, read_rows
from fulcra.types import Behavior, Edge, Neuron, Ranking

#: Tokens shown on either side of a lens.
TOKENS = 12


def card(
    model: Model,
    neuron: Neuron,
    behavior: Behavior | None = None,
    run: Path | None = None,
    exemplars: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All that is known of one neuron: both poles, whatever the pole of `neuron`.

    Without a behavior there is no trigger, direction or rank. `run` is the folder of an audit,
    `exemplars` that of `fulcra exemplars`, both of this model. Cost: 32 short rollouts, a clean
    pass, some 20 teacher-forced ones.
    """
    model.require(neuron)
    plus = neuron if neuron.pole > 0 else neuron.opposite
    text = continue_openings(
        model,
        behavior.generic if behavior else OPENINGS[:32],
        seed,
        behavior.system if behavior else None,
    )
    clean = stream(model, text.prompts, text.replies)
    measured = _measured(model, plus, run)
    branches = _branches(model, (plus, plus.opposite), behavior, text, clean)
    content: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "command": "card",
            "model": model_entry(model),
            "neuron": plus.site,
            "behavior": behavior and {"name": behavior.name, "sha256": behavior_sha256(behavior)},
            "geometry": _geometry(model, plus, clean),
            "direction": behavior and _direction(model, plus, behavior),
            "ranks": _ranks(model, plus, behavior, clean) if behavior else [],
            "branches": [{**entry, "measured": measured.get(entry["pole"])} for entry in branches],
            "run": run and run.name,
            "exemplars": _exemplars(model, plus, exemplars),
            "seed": seed,
            "provenance": versions(),
        }
    )
    return content


def _geometry(model: Model, neuron: Neuron, clean: Stream) -> dict[str, float]:
    """|v| beside its layer's, |r|, budget and clean alignment (law.md section 2)."""
    norms = model.writes(neuron.layer).norm(dim=-1)
    at, size = coordinate(model, clean, neuron), float(model.write(neuron).norm())
    return {
        "write_norm": size,
        "layer_median_norm": float(norms.median()),
        "norm_rank": 1 + int((norms > size).sum()),
        "of": len(norms),
        "residual_norm": float(clean.norm[neuron.layer]),
        "budget": at.budget,
        "alignment0": at.alignment0,
    }


def _direction(model: Model, neuron: Neuron, behavior: Behavior) -> dict[str, Any] | None:
    """cos(v, difference of means) at the neuron's layer, its chance among the layer's columns, and
    the best column's by chance.
    """
    found = next(
        (one for one in difference_directions(model, behavior) if one.layer == neuron.layer), None
    )
    if found is None:
        return None
    value, width = float(cosine(model.write(neuron).cpu(), found.vector)), model.width(neuron.layer)
    bound = {
        "p": chance_of_cosine(value, model.d_model, width),
        "expected_max": expected_max_cosine(model.d_model, width),
    }
    return {"direction": str(found), "cosine": value, **bound}


def _ranks(model: Model, neuron: Neuron, behavior: Behavior, clean: Stream) -> list[dict[str, Any]]:
    raw = contrast_of(model, behavior, "contrastive").towards_flip
    scores = {"raw": raw, "gain": gain_units(model, clean, raw)}
    return [
        _rank("contrastive", unit, ranked("contrastive", model, signed), neuron)
        for unit, signed in scores.items()
    ]


def _rank(screen: str, unit: str, ranking: Ranking, neuron: Neuron) -> dict[str, Any]:
    place = next(i for i, branch in enumerate(ranking.branches) if branch.site == neuron.site)
    pole = "+" if ranking.branches[place].pole > 0 else "-"
    return {
        "screen": screen,
        "units": unit,
        "rank": place + 1,
        "of": len(ranking.branches),
        "score": ranking.scores[place],
        "pole": pole,
    }


def _branches(
    model: Model,
    poles: tuple[Neuron, Neuron],
    behavior: Behavior | None,
    text: GenericText,
    clean: Stream,
) -> list[dict[str, Any]]:
    """Both poles: coordinate, predicted edges and what they say of the window, and the lens of the
    write.
    """
    places = [coordinate(model, clean, pole) for pole in poles]
    openings = openings_of(model, behavior) if behavior else None
    triggers: list[Edge | None] = (
        list(trigger_ladder(model, places, openings)) if openings else [None, None]
    )
    return [
        {
            "branch": str(at.branch),
            "pole": "+" if at.branch.pole > 0 else "-",
            "alignment0": at.alignment0,
            "cap": at.cap_alignment,
            "ceiling": _edge(ceiling),
            "trigger": trigger and _edge(trigger),
            "margin": trigger and log2_margin(ceiling.gain, trigger.gain),
            "predicted_verdict": trigger and law_verdict(ceiling, trigger),
            **_lens(model, at),
        }
        for at, ceiling, trigger in zip(
            places, kl_ladder(model, places, text), triggers, strict=True
        )
    ]


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "gain": edge.gain,
        "alignment": edge.alignment,
        "method": edge.method,
        "tier": edge.tier,
        "censored": edge.censored,
    }


def _lens(model: Model, at: Coordinate) -> dict[str, Any]:
    """The tokens the branch's write promotes and suppresses most, with their logits
    (`models.lens`).
    """
    assert isinstance(at.branch, Neuron)
    logits = write_logits(model, at.branch)
    order = logits[: len(model.tokenizer)].argsort(descending=True, stable=True).tolist()
    sides = {"promoted": order[:TOKENS], "suppressed": order[::-1][:TOKENS]}
    return {
        side: [{"token": model.pieces([i])[0], "logit": float(logits[i])} for i in ids]
        for side, ids in sides.items()
    }


def _measured(model: Model, neuron: Neuron, run: Path | None) -> dict[str, Any]:
    """What a finished audit of this model measured of the neuron, by pole; InputError where it is
    another model's.
    """
    if run is None:
        return {}
    found = read_json(run / AUDIT)
    _same_model(model, found, "--run", run)
    return {entry["pole"]: entry for entry in found["neurons"] if entry["neuron"] == neuron.site}


def _exemplars(model: Model, neuron: Neuron, folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    found = read_json(folder / f"{EXEMPLARS}.json")
    _same_model(model, found, "--exemplars", folder)
    entry = next((one for one in found["neurons"] if one["neuron"] == neuron.site), None)
    if entry is None:
        there = ", ".join(one["neuron"] for one in found["neurons"])
        raise InputError(
            f"--exemplars {folder}: holds {there}, not {neuron.site}; run `fulcra exemplars` on it"
        )
    rows = [
        row for row in read_rows(folder / f"{EXEMPLARS}.parquet") if row["neuron"] == neuron.site
    ]
    return {**entry, "rows": rows}


def _same_model(model: Model, found: Mapping[str, Any], option: str, folder: Path) -> None:
    made_on = found.get("model", {})
    if made_on.get("sha256") != model.sha256:
        there = made_on.get("name", "no model is named in it")
        raise InputError(
            f"{option} {folder}: made on other weights ({there}) than {model.name}; give one of"
            " this model"
        )
