"""Every organism of a registered recipe design, audited alike; what goes with what."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from fulcra.backtest.registered import Place, enter_models
from fulcra.behaviors import load_behavior
from fulcra.defence.auditing import audited_side
from fulcra.defence.hardened import SideEntry
from fulcra.defence.recipes.entries import RecipeDesign, RecipeRow, RecipesResult
from fulcra.defence.recipes.figures import figured
from fulcra.documents import DocumentError, read_yaml_file
from fulcra.errors import Inconclusive, InputError
from fulcra.models import Model
from fulcra.models.changes import change_since
from fulcra.organisms.planted import planted, planted_world
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.base import Provenance, fault_line
from fulcra.protocol.results.weights import Weights
from fulcra.protocol.stages import AuditSettings
from fulcra.protocol.witness.entries import Entry, Registered
from fulcra.protocol.witness.ledger import Ledger
from fulcra.protocol.witness.registration import register, required_registration, weights_of
from fulcra.store import read_json, write_json

#: The shipped design, and that of its repetition.
SHIPPED, AGAIN = (
    Path(str(files("fulcra.defence.recipes") / f"{name}.yaml"))
    for name in ("recipes", "recipes-again")
)
#: The row of an organism that is over, in its folder, and the audit beside it.
ROW, AUDIT_RUN = "row.json", "audit"
#: Why an organism is in no figure, or in one alone.
NOT_SHOWN = "its baseline does not show the behavior"
UNMOVED = "no control moves it"


def read_design(path: Path) -> RecipeDesign:
    """The design of a file; InputError names what is wrong with it."""
    try:
        return RecipeDesign.model_validate(read_yaml_file(path))
    except DocumentError as error:
        raise InputError(f"design {path}: {error}") from None
    except ValidationError as error:
        raise InputError(
            f"design {path}: {fault_line(error)}; see the shipped one,"
            " fulcra/defence/recipes/recipes.yaml"
        ) from None


def registered(design: RecipeDesign, ledger: Ledger) -> Entry:
    """The entry of a design, made now where it is not there; RunFolderError of a broken ledger."""
    about = Registered(name=design.name, held_out=design.needed[1:], code=code_version())
    return register(ledger, design.sha256, about)


def run_recipes(
    design: RecipeDesign, place: Place, ways: Sequence[str] = (), progress: Progress | None = None
) -> RecipesResult | None:
    """The study, kept in `place.out`, where an interrupted one goes on.

    Only `ways` where they are named: then None, unless all others are over. InputError where the
    design is not in the ledger or weights are not those that were registered, Inconclusive where
    models are missing.
    """
    entry = required_registration(place.ledger, design.name, design.sha256)
    if strangers := [way for way in ways if way not in design.organisms]:
        raise InputError(
            f"--way {strangers[0]}: not in design {design.name}; it has"
            f" {', '.join(design.organisms)}"
        )
    clock = Clock(progress or Silent())
    for way in ways or design.organisms:
        _measure(design, place, way, clock)
    if any(not (place.out / name / ROW).is_file() for name in design.needed[1:]):
        return None
    return _result(design, entry, place, clock)


def _measure(design: RecipeDesign, place: Place, way: str, clock: Clock) -> None:
    """Audit the organisms of one way, each as it is finished."""
    parent = _model(design, place, design.reference)
    for name in design.organisms[way]:
        folder = place.out / name
        if (folder / ROW).is_file():
            continue
        model = _model(design, place, name)
        change = change_since(parent, model)
        side = _audited(design, model, way, folder, clock)
        taught = planted(model.folder)
        row = RecipeRow(
            way=way,
            organism=name,
            **change._asdict(),
            steps=taught.steps,
            met=taught.met,
            audit=side,
            design=design.sha256,
            code=code_version(),
        )
        write_json(folder / ROW, row.plain())


def _model(design: RecipeDesign, place: Place, name: str) -> Model:
    """The model of that name, its weights in the ledger from now on."""
    if not place.cabinet.has(name):
        raise Inconclusive(
            f"recipes {design.name}: {name} is neither bundled nor in"
            f" {place.cabinet.organisms or 'any folder'}; train it (`python organisms/train.py"
            f" {name}`)"
        )
    model = place.cabinet.load(name)
    enter_models(place.ledger, design.sha256, [model])
    return model


def _audited(design: RecipeDesign, model: Model, way: str, folder: Path, clock: Clock) -> SideEntry:
    """The audit of one organism, the same for all."""
    size = design.size
    settings = AuditSettings(
        size.neurons, size.random, size.controls, size.seed, measure="sequential"
    )
    behavior = load_behavior(design.behavior, planted_world(model.folder))
    with clock.step(f"audit {model.name}", 0) as bar:
        return audited_side(way, model, behavior, settings, folder / AUDIT_RUN, bar)


def rows_of(design: RecipeDesign, out: Path, weights: Weights) -> tuple[RecipeRow, ...]:
    """The row of every organism, from its folder; InputError where it is of another study."""
    rows = []
    for name in design.needed[1:]:
        row = RecipeRow.model_validate(read_json(out / name / ROW))
        own = (design.way_of(name), name, design.sha256, weights.models.get(name))
        if (row.way, row.organism, row.design, row.audit.model.sha256) != own:
            raise InputError(
                f"{out / name / ROW}: is of another design, way or weights than the ledger has;"
                " give the study a folder of its own"
            )
        rows.append(row)
    return tuple(rows)


def _result(design: RecipeDesign, entry: Entry, place: Place, clock: Clock) -> RecipesResult:
    """The figures of all rows; an organism whose audit draws no verdict is listed."""
    weights = weights_of(place.ledger.sound(), design.sha256)
    rows = rows_of(design, place.out, weights)
    result = RecipesResult(
        design=design,
        design_sha256=design.sha256,
        registered=entry.link,
        weights=weights,
        rows=rows,
        **figured(design, rows)._asdict(),
        left_out={
            row.organism: UNMOVED if row.unmoved else NOT_SHOWN
            for row in rows
            if not row.audit.reproduced
        },
        provenance=Provenance.now(seed=design.size.seed),
        timing=clock.timing(),
    )
    result = RecipesResult.of(result.plain())
    result.save(place.out)
    return result
