"""A registered study: its design in a ledger first, then lineage by lineage, then its figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from fulcra.backtest.cases import (
    CEILINGS,
    OVER,
    RUN,
    CasePlace,
    MeasuredCase,
    case_of,
    measured_case,
)
from fulcra.backtest.depth import grouped_depth
from fulcra.backtest.model_ceilings import (
    PREDICTIONS,
    CeilingSettings,
    ceilings_manifest,
    member_ceilings,
)
from fulcra.backtest.registered_beside import grouped_beside
from fulcra.backtest.registered_scores import grouped_figures
from fulcra.backtest.registered_targets import study_targets
from fulcra.backtest.split import Cabinet, LineageModel
from fulcra.documents import DocumentError, read_yaml_file
from fulcra.errors import BehaviorError, Inconclusive, InputError
from fulcra.law.chance import FROZEN
from fulcra.models import Model
from fulcra.organisms.planted import planted
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.base import Provenance, fault_line
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.study import StudyCases, StudyResult
from fulcra.protocol.results.validation import CeilingRow
from fulcra.protocol.runs import Run
from fulcra.protocol.witness.entries import Entry, Registered
from fulcra.protocol.witness.ledger import Ledger
from fulcra.protocol.witness.registration import (
    enter_weights,
    register,
    required_registration,
    weights_of,
)
from fulcra.store import COMMITMENT, read_json, write_json

#: The design of the second study.
SECOND = Path(str(files("fulcra.backtest") / "second.yaml"))


@dataclass(frozen=True, slots=True)
class Place:
    """What a registered study is run with: where its models are, its ledger, its folder."""

    cabinet: Cabinet
    ledger: Ledger
    out: Path


@dataclass(slots=True)
class Measured:
    """The rows of the lineages so far; `predicted`: the hash of each model's predicted ceilings."""

    ceilings: list[CeilingRow] = field(default_factory=list)
    predicted: dict[str, str] = field(default_factory=dict)
    cases: list[MeasuredCase] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def read_design(path: Path) -> Design:
    """The design of a file; InputError names what is wrong with it."""
    try:
        design = Design.model_validate(read_yaml_file(path))
    except DocumentError as error:
        raise InputError(f"design {path}: {error}") from None
    except ValidationError as error:
        raise InputError(
            f"design {path}: {fault_line(error)}; see the shipped one, fulcra/backtest/second.yaml"
        ) from None
    noise = design.noise.plain()
    if any(noise[name] != value for name, value in FROZEN._asdict().items()):
        raise InputError(
            f"design {path}: its noise is not what this version forecasts with; take the version"
            " that it was registered under"
        )
    return design


def registered(design: Design, ledger: Ledger) -> Entry:
    """The entry of a design, made now where it is not there; RunFolderError of a broken ledger."""
    about = Registered(
        name=design.name,
        held_out=tuple(lineage.name for lineage in design.held_out),
        code=code_version(),
    )
    return register(ledger, design.sha256, about)


def run_study(
    design: Design, place: Place, lineages: Sequence[str] = (), progress: Progress | None = None
) -> StudyResult | None:
    """The study, kept in `place.out`, where an interrupted one goes on.

    Only `lineages` where they are named: then None, unless all others are over. A lineage that is
    over needs its files alone, not its models. InputError where the design is not in the ledger,
    Inconclusive where models are missing.
    """
    entry = required_registration(place.ledger, design.name, design.sha256)
    left = [lineage for lineage in _chosen(design, lineages) if not _over(place, lineage)]
    _require_models(design, place.cabinet, left)
    clock = Clock(progress or Silent())
    for lineage in left:
        _measure(design, place, lineage, clock)
    if not all(_over(place, lineage) for lineage in design.held_out):
        return None
    return _result(design, entry, place, clock)


def _chosen(design: Design, names: Sequence[str]) -> list[Lineage]:
    by_name = {lineage.name: lineage for lineage in design.held_out}
    if strangers := [name for name in names if name not in by_name]:
        raise InputError(
            f"--lineage {strangers[0]}: not in design {design.name}; it has {', '.join(by_name)}"
        )
    return [by_name[name] for name in names or by_name]


def _require_models(design: Design, cabinet: Cabinet, lineages: Sequence[Lineage]) -> None:
    wanted = [name for each in lineages for name in (*each.models, each.reference) if name]
    missing = [name for name in dict.fromkeys(wanted) if not cabinet.has(name)]
    if missing:
        raise Inconclusive(
            f"study {design.name}: {len(missing)} models are neither bundled nor in"
            f" {cabinet.organisms or 'any folder'}: {', '.join(missing)}; train them (`python"
            " organisms/train.py NAME`), or name the lineages that are there"
        )


def _over(place: Place, lineage: Lineage) -> bool:
    """Whether every row of a lineage is kept."""
    return (place.out / lineage.name / OVER).is_file()


def _measure(design: Design, place: Place, lineage: Lineage, clock: Clock) -> None:
    """Measure one lineage: its ceilings, and its cases; then say that it is over."""
    left_out: dict[str, str] = {}
    members = list(place.cabinet.members(lineage))
    models = [member.model for member in members]
    judges = [member.reference for member in members if member.reference is not None]
    enter_models(place.ledger, design.sha256, [*models, *judges])
    for member in members:
        name = member.model.name
        if name in lineage.ceilings:
            try:
                _ceilings(design, member, place, clock)
            except Inconclusive as refusal:
                left_out[name] = str(refusal)
        for behavior in lineage.verdicts.get(name, ()):
            case = CasePlace(place.out / lineage.name / name / behavior, place.ledger.folder)
            try:
                measured_case(member, behavior, design, case, clock)
            except (Inconclusive, BehaviorError) as refusal:
                left_out[f"{name} {behavior}"] = str(refusal)
    write_json(place.out / lineage.name / OVER, {"left_out": left_out})


def enter_models(ledger: Ledger, design: str, models: Sequence[Model]) -> None:
    """Enter the weights of models for a design by its hash; InputError where it has others."""
    unfinished = [model.name for model in models if planted(model.folder).met is False]
    enter_weights(ledger, design, {model.name: model.sha256 for model in models}, unfinished)


def _ceilings(design: Design, member: LineageModel, place: Place, clock: Clock) -> None:
    """The ceilings of one model: predicted, entered in the ledger, then measured."""
    size = design.size_of(member.lineage.name)
    settings = CeilingSettings(
        neurons=size.neurons,
        seed=size.seed,
        methods=(design.ceiling, *design.beside),
        design=design.sha256,
    )
    out = place.out / member.lineage.name / member.model.name / CEILINGS
    if (out / ModelCeilings.file).is_file():
        _require_design(out / PREDICTIONS, design)
    else:
        manifest = ceilings_manifest(member, settings)
        run = Run.open(manifest, out, clock, place.ledger.folder)
        member_ceilings(member, run, out, settings)


def _require_design(path: Path, design: Design, *within: str) -> None:
    """InputError where what is over was committed to for another design.

    `within`: the keys under which its content has its settings.
    """
    content = read_json(path)["content"]
    for key in within:
        content = content[key]
    if content["settings"]["design"] != design.sha256:
        raise InputError(
            f"{path}: was committed to for another design; give the study a folder of its own"
        )


def _read(design: Design, lineage: Lineage, folder: Path, measured: Measured) -> None:
    """Add the rows of a lineage that is over, from its files alone.

    InputError where they were measured for another design.
    """
    left_out = read_json(folder / OVER)["left_out"]
    measured.left_out.update(left_out)
    for name in lineage.ceilings:
        if name not in left_out:
            _require_design(folder / name / CEILINGS / PREDICTIONS, design)
            result = ModelCeilings.load(folder / name / CEILINGS)
            measured.ceilings += result.rows
            measured.predicted[name] = result.predictions_sha256
    for name, behaviors in lineage.verdicts.items():
        for behavior in behaviors:
            if f"{name} {behavior}" not in left_out:
                _require_design(folder / name / behavior / RUN / COMMITMENT, design, "plan")
                measured.cases.append(case_of(folder / name / behavior, lineage))


def _result(design: Design, entry: Entry, place: Place, clock: Clock) -> StudyResult:
    """The figures of all rows, their numbers as the file holds them."""
    measured = Measured()
    for lineage in design.held_out:
        _read(design, lineage, place.out / lineage.name, measured)
    rows = StudyCases(
        ceilings=tuple(measured.ceilings),
        verdicts=tuple(row for case in measured.cases for row in case.rows),
        chances=tuple(case.chances for case in measured.cases),
    )
    protocol = tuple(case.protocol for case in measured.cases)
    rows = StudyCases.model_validate(rows.plain())
    weights = weights_of(place.ledger.sound(), design.sha256)
    groups = grouped_figures(design, rows, protocol, weights.unfinished)
    depth = grouped_depth(place.out, design, rows.ceilings, protocol, weights.unfinished)
    result = StudyResult(
        design=design,
        design_sha256=design.sha256,
        registered=entry.link,
        weights=weights,
        protocol=protocol,
        predicted=measured.predicted,
        left_out=measured.left_out,
        groups=groups,
        depth=depth,
        beside=grouped_beside(design, rows, protocol, weights.unfinished),
        targets=study_targets(design, groups),
        rows=rows,
        provenance=Provenance.now(seed=design.size.seed),
        timing=clock.timing(),
    )
    result = StudyResult.of(result.plain())
    result.save(place.out)
    return result
