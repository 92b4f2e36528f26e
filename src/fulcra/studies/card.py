"""The card of one neuron: geometry, predicted and measured windows, words, ranks, exemplars."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.behaviors.generic import OPENINGS
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.geometry import chance_of_cosine, cosine, expected_max_cosine
from fulcra.ladders import kl_ladder, trigger_ladder
from fulcra.law.verdict import law_verdict, margin
from fulcra.models import Model
from fulcra.models.lens import write_logits
from fulcra.protocol.draw import both_poles
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.protocol.results.base import ModelEntry, Provenance
from fulcra.protocol.results.card import (
    BranchCard,
    CardResult,
    DirectionCosine,
    Geometry,
    NeuronExemplars,
    Rank,
    TokenLogit,
)
from fulcra.protocol.results.commitment import predicted_entry
from fulcra.protocol.results.exemplars import FILE, ExemplarsResult
from fulcra.protocol.runs import model_entry, named
from fulcra.protocol.subject import Ground, Subject, ground_of
from fulcra.screens.directions import difference_directions
from fulcra.screens.scores import Units, gain_units, ranked
from fulcra.store import AUDIT
from fulcra.types import Behavior, Edge, Neuron, Ranking

SCHEMA_VERSION = 1
#: Tokens shown on either side of a lens.
TOKENS = 12


class Forecast(NamedTuple):
    """The predicted edges of one branch; the trigger is None where no openings are known."""

    ceiling: Edge
    trigger: Edge | None


#: What predicts the edges of branches.
Forecasts = Callable[[Sequence[Coordinate]], list[Forecast]]


class Others(NamedTuple):
    """Folders of what was measured of the same model: an audit, and what `exemplars` wrote."""

    run: Path | None = None
    exemplars: Path | None = None


def card(
    model: Model,
    neuron: Neuron,
    behavior: Behavior | None = None,
    run: Path | None = None,
    exemplars: Path | None = None,
    seed: int = 0,
) -> CardResult:
    """All that is known of one neuron: both poles, whatever the pole of `neuron`.

    Without a behavior there is no trigger, direction or rank. `run` is the folder of an audit,
    `exemplars` that of `fulcra exemplars`, both of this model. Cost: 32 short rollouts, a clean
    pass, some 20 teacher-forced ones.
    """
    model.require(neuron)
    subject = Subject.of(model, behavior, seed, reference=model) if behavior else None
    ground = subject.ground if subject else ground_of(model, OPENINGS[:32], seed)
    return card_of(ground, subject, neuron, Others(run, exemplars), seed)


def card_of(
    ground: Ground,
    subject: Subject | None,
    neuron: Neuron,
    others: Others = Others(),
    seed: int = 0,
    forecasts: Forecasts | None = None,
) -> CardResult:
    """The same on clean facts that are there already; the ground is the subject's, where one is.

    `forecasts` tells edges that were predicted before; without it they are predicted here.
    """
    ground.model.require(neuron)
    predict = forecasts or (lambda places: forecasts_of(ground, subject, places))
    model, behavior = ground.model, subject.behavior if subject else None
    plus = neuron if neuron.pole > 0 else neuron.opposite
    result = CardResult(
        schema_version=SCHEMA_VERSION,
        command="card",
        model=model_entry(model),
        neuron=plus.site,
        behavior=named(behavior) if behavior else None,
        geometry=_geometry(ground, plus),
        direction=_direction(model, plus, behavior) if behavior else None,
        ranks=_ranks(subject, plus) if subject else (),
        branches=_branches(ground, plus, predict, _measured(model, plus, others.run)),
        run=others.run.name if others.run else None,
        exemplars=_exemplars(model, plus, others.exemplars),
        seed=seed,
        provenance=Provenance.now(),
    )
    return CardResult.of(result.plain())


def _geometry(ground: Ground, neuron: Neuron) -> Geometry:
    """The neuron's size, budget and clean alignment (law.md section 2)."""
    norms = ground.model.writes(neuron.layer).norm(dim=-1)
    place, size = ground.coordinate(neuron), float(ground.model.write(neuron).norm())
    return Geometry(
        write_norm=size,
        layer_median_norm=float(norms.median()),
        norm_rank=1 + int((norms > size).sum()),
        of=len(norms),
        residual_norm=float(ground.stream.norm[neuron.layer]),
        budget=place.budget,
        alignment0=place.alignment0,
    )


def _direction(model: Model, neuron: Neuron, behavior: Behavior) -> DirectionCosine | None:
    """cos(v, difference of means) at the neuron's layer; None where the difference is 0."""
    directions = {each.layer: each for each in difference_directions(model, behavior)}
    direction = directions.get(neuron.layer)
    if direction is None:
        return None
    width = model.width(neuron.layer)
    value = float(cosine(model.write(neuron).cpu(), direction.vector))
    return DirectionCosine(
        direction=str(direction),
        cosine=value,
        p=chance_of_cosine(value, model.d_model, width),
        expected_max=expected_max_cosine(model.d_model, width),
    )


def _ranks(subject: Subject, neuron: Neuron) -> tuple[Rank, ...]:
    """The neuron's places in the contrastive screen, in activation and in gain units."""
    raw = subject.contrast.towards_flip
    gain = gain_units(subject.model, subject.ground.stream, raw)
    rankings = [ranked("contrastive", subject.model, scores) for scores in (raw, gain)]
    return (_rank("raw", rankings[0], neuron), _rank("gain", rankings[1], neuron))


def _rank(units: Units, ranking: Ranking, neuron: Neuron) -> Rank:
    place = [branch.site for branch in ranking.branches].index(neuron.site)
    return Rank(
        screen="contrastive",
        units=units,
        rank=place + 1,
        of=len(ranking.branches),
        score=ranking.scores[place],
        pole=_sign(ranking.branches[place]),
    )


def _sign(branch: Neuron) -> str:
    return "+" if branch.pole > 0 else "-"


def forecasts_of(
    ground: Ground, subject: Subject | None, places: Sequence[Coordinate]
) -> list[Forecast]:
    """The edges of branches, forecast by the KL ladder and the trigger ladder."""
    ceilings = kl_ladder(ground.model, places, ground.text)
    triggers: list[Edge | None] = [None for _ in places]
    if subject is not None and subject.openings is not None:
        triggers = list(trigger_ladder(ground.model, places, subject.openings))
    return list(map(Forecast, ceilings, triggers))


def _branches(
    ground: Ground, neuron: Neuron, predict: Forecasts, measured: dict[str, Branch]
) -> tuple[BranchCard, ...]:
    """Both poles with their predicted edges."""
    places = both_poles(ground, [neuron])
    return tuple(
        _branch(ground.model, place, *edges, measured.get(_sign(pole)))
        for pole, place, edges in zip(
            (neuron, neuron.opposite), places, predict(places), strict=True
        )
    )


def _branch(
    model: Model, place: Coordinate, ceiling: Edge, trigger: Edge | None, measured: Branch | None
) -> BranchCard:
    """One pole: coordinate, edges and what they say of the window, and the lens of its write.

    The lens is the tokens that the write promotes and suppresses most (`models.lens`).
    """
    assert isinstance(place.branch, Neuron)
    logits = write_logits(model, place.branch)
    order = logits[: len(model.tokenizer)].argsort(descending=True, stable=True).tolist()
    promoted, suppressed = (
        tuple(TokenLogit(token=model.pieces([i])[0], logit=float(logits[i])) for i in ids[:TOKENS])
        for ids in (order, order[::-1])
    )
    return BranchCard(
        branch=str(place.branch),
        pole=_sign(place.branch),
        alignment0=place.alignment0,
        cap=place.cap_alignment,
        ceiling=predicted_entry(ceiling),
        trigger=predicted_entry(trigger) if trigger else None,
        margin=margin(ceiling, trigger) if trigger else None,
        predicted_verdict=law_verdict(ceiling, trigger) if trigger else None,
        promoted=promoted,
        suppressed=suppressed,
        measured=measured,
    )


def _measured(model: Model, neuron: Neuron, run: Path | None) -> dict[str, Branch]:
    """What a finished audit of this model measured of the neuron, by pole."""
    if run is None:
        return {}
    audit = AuditResult.load(run / AUDIT)
    _require_model(model, audit.model, f"--run {run}")
    return {branch.pole: branch for branch in audit.neurons if branch.neuron == neuron.site}


def _exemplars(model: Model, neuron: Neuron, folder: Path | None) -> NeuronExemplars | None:
    if folder is None:
        return None
    result = ExemplarsResult.load(folder / FILE)
    _require_model(model, result.model, f"--exemplars {folder}")
    entries = {entry.neuron: entry for entry in result.neurons}
    if neuron.site not in entries:
        raise InputError(
            f"--exemplars {folder}: holds {', '.join(entries)}, not {neuron.site}; run `fulcra"
            " exemplars` on it"
        )
    rows = tuple(row for row in result.rows if row.neuron == neuron.site)
    return NeuronExemplars(**dict(entries[neuron.site]), rows=rows)


def _require_model(model: Model, made_on: ModelEntry, option: str) -> None:
    """InputError where a result was made on other weights."""
    if made_on.sha256 != model.sha256:
        raise InputError(
            f"{option}: made on other weights ({made_on.name}) than {model.name}; give one of this"
            " model"
        )
