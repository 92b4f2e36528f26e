"""A recipe: an intervention with the model it is for, the behavior it was made for and the window
predicted for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fulcra.behaviors import behavior_sha256
from fulcra.engines.edit import branch_coordinate, resolve
from fulcra.errors import InputError
from fulcra.law.ceiling import predict_ceiling
from fulcra.models import Model
from fulcra.models.edits import require_edits, require_numbers
from fulcra.protocol.commit import edge_entry
from fulcra.store import AUDIT, COMMITMENT, digest, read_json, write_json
from fulcra.types import Anchor, Behavior, Branch, Direction, Edge, Edit, Edits, Neuron, Positions


class Forecast(NamedTuple):
    """The predicted window of one branch: its budget [activation units], ceiling and, where
    openings are known, trigger.
    """

    branch: str
    budget: float
    ceiling: Edge
    trigger: Edge | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """Edits with resolved doses, the model they are for, the behavior they were made for, and
    predicted windows.

    `sensitive` is the behavior's: completions under the recipe are then told by label, length and
    salted hash alone.
    """

    name: str
    model: str
    model_sha256: str
    edits: Edits
    behavior: str | None = None
    behavior_sha256: str | None = None
    sensitive: bool = False
    windows: tuple[Forecast, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)

    def require(self, model: Model) -> "Recipe":
        """The recipe itself; InputError unless it is for this model and the model has what it
        edits.
        """
        if model.sha256 != self.model_sha256:
            raise InputError(
                f"recipe {self.name!r}: made for {self.model} with weights"
                f" {self.model_sha256[:12]}, {model.name} has weights {model.sha256[:12]}; doses do"
                " not carry over, make a recipe for this model"
            )
        require_edits(model, self.edits)
        return self

    def window(self, branch: str) -> Forecast | None:
        """The window predicted for a branch, by its name; None where none was."""
        return next((one for one in self.windows if one.branch == branch), None)

    @property
    def sha256(self) -> str:
        """Hash of all that the recipe says."""
        return digest(_entry(self))


def write_recipe(path: Path, recipe: Recipe) -> None:
    """The recipe as a JSON file; doses and vectors to six digits, so a recipe is what its file
    says.
    """
    write_json(path, _entry(recipe))


def read_recipe(path: Path) -> Recipe:
    """The recipe of a JSON file; InputError in one line where it cannot be one."""
    if not path.is_file():
        raise InputError(
            f"recipe {path}: no such file; make one with `fulcra recipe RUN --branch NAME --out"
            " FILE`"
        )
    try:
        written = parsed(read_json(path))
        edits = tuple(entry.edit for entry in written.edits)
    except InputError as error:
        raise InputError(f"recipe {path}: {error}") from None
    windows = [
        Forecast(w.branch, w.budget, w.ceiling.edge, w.trigger.edge if w.trigger else None)
        for w in written.windows
    ]
    found = Recipe(
        written.name,
        written.model.name,
        written.model.sha256,
        edits,
        windows=tuple(windows),
        source=written.source,
    )
    known = written.behavior
    return (
        found
        if known is None
        else replace(
            found, behavior=known.name, behavior_sha256=known.sha256, sensitive=known.sensitive
        )
    )


def make_recipe(
    model: Model, edits: Sequence[Edit], name: str, behavior: Behavior | None = None
) -> Recipe:
    """A recipe of any edits for a loaded model: gains become doses, and the ceiling of every dosed
    branch is predicted.

    Cost: `predict_ceiling` a branch, two for a neuron that is scaled or held.
    """
    resolved = tuple(require_numbers(resolve(model, edit)) for edit in edits)
    require_edits(model, resolved)
    windows = [
        Forecast(str(b), branch_coordinate(model, b).budget, predict_ceiling(model, b))
        for b in dosed_branches(resolved)
    ]
    found = Recipe(name, model.name, model.sha256, resolved, windows=tuple(windows))
    if behavior is None:
        return found
    return replace(
        found,
        behavior=behavior.name,
        behavior_sha256=behavior_sha256(behavior),
        sensitive=behavior.sensitive,
    )


def recipe_of_run(
    folder: Path, branch: str, gain: float | None = None, edit: Edit | None = None
) -> Recipe:
    """The recipe of one audited branch, with the windows that the run committed for both its poles;
    no model is needed.

    An additive dose of `gain` budgets, by default of the run's best gain below the measured
    ceiling; or any `edit` of the neuron.
    """
    found, committed = read_json(folder / AUDIT), read_json(folder / COMMITMENT)
    entries = {entry["branch"]: entry for entry in committed["content"]["branches"]}
    neuron = Neuron.parse(branch)
    if str(neuron) not in entries:
        raise InputError(
            f"recipe: {folder} measured no branch {neuron}; it measured {', '.join(entries)}"
        )
    if edit is None:
        measured = next(
            one for one in found["neurons"] if one["neuron"] + one["pole"] == str(neuron)
        )
        edit = _dose(
            entries[str(neuron)], neuron, measured["outcomes_gain"] if gain is None else gain
        )
    windows = [
        _forecast(entries[str(pole)]) for pole in (neuron, neuron.opposite) if str(pole) in entries
    ]
    model, behavior = found["model"], found["behavior"]
    return Recipe(
        str(edit),
        model["name"],
        model["sha256"],
        (edit,),
        behavior["name"],
        behavior["sha256"],
        behavior["sensitive"],
        tuple(windows),
        {"commitment": committed["sha256"]},
    )


def _dose(entry: Mapping[str, Any], neuron: Neuron, gain: float) -> Edit:
    if entry.get("cap_alignment") is not None:
        raise InputError(
            f"recipe: a norm after the MLP bends the dose of {neuron}, so a gain names no"
            " activation; give --alpha or --pin"
        )
    return require_numbers(Edit(neuron, "add", gain * entry["budget"] * neuron.pole, gain))


def _forecast(entry: Mapping[str, Any]) -> Forecast:
    edges = [
        None if (edge := entry[f"{name}_predicted"]) is None else EdgeEntry(**edge).edge
        for name in ("ceiling", "trigger")
    ]
    assert edges[0] is not None
    return Forecast(entry["branch"], entry["budget"], edges[0], edges[1])


def dosed_branches(edits: Edits) -> list[Branch]:
    """The branches along which edits move the stream: both poles of a neuron that is scaled or
    held; none of a whole direction.
    """
    found: dict[Branch, None] = {}
    for edit in edits:
        if isinstance(edit.site, Neuron):
            up = replace(edit.site, pole=1)
            found |= dict.fromkeys(
                [up, up.opposite] if edit.op != "add" else [up if edit.value >= 0 else up.opposite]
            )
        elif edit.op == "add_vector":
            found[edit.site] = None
    return list(found)


def _entry(recipe: Recipe) -> dict[str, Any]:
    """The recipe as its file holds it."""
    windows = [
        {
            "branch": w.branch,
            "budget": w.budget,
            "ceiling": edge_entry(w.ceiling),
            "trigger": edge_entry(w.trigger) if w.trigger else None,
        }
        for w in recipe.windows
    ]
    behavior = (
        {"name": recipe.behavior, "sha256": recipe.behavior_sha256, "sensitive": recipe.sensitive}
        if recipe.behavior
        else None
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "name": recipe.name,
        "model": {"name": recipe.model, "sha256": recipe.model_sha256},
        "behavior": behavior,
        "edits": [edit_entry(edit) for edit in recipe.edits],
        "windows": windows,
        "source": dict(recipe.source),
    }


SCHEMA_VERSION = 1
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NeuronEntry(_Strict):
    """An edit of one neuron; `k` and `gap` are an anchor's."""

    op: Literal["add", "scale", "pin", "anchor"]
    neuron: Text
    value: Number
    gain: Number | None = None
    positions: Positions = "all"
    k: Number | None = None
    gap: Number | None = None

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        given = [name for name in ("k", "gap") if getattr(self, name) is not None]
        if (self.op == "anchor") != (given == ["k", "gap"]) or (self.op != "anchor" and given):
            raise ValueError(
                f"needs k and gap with op anchor and with no other, found op {self.op} with"
                f" {' and '.join(given) or 'neither'}"
            )
        return self

    @property
    def edit(self) -> Edit:
        """The edit; InputError for a name or a dose that cannot be meant."""
        tied = Anchor(self.k, self.gap) if self.k is not None and self.gap is not None else None
        return require_numbers(
            Edit(Neuron.parse(self.neuron), self.op, self.value, self.gain, self.positions, tied)
        )


class VectorEntry(_Strict):
    """An edit along one direction of the residual stream."""

    op: Literal["add_vector", "add_mlp", "ablate_direction"]
    layer: Annotated[int, Field(ge=0)]
    name: Text
    vector: Annotated[tuple[Number, ...], Field(min_length=1)]
    value: Number
    gain: Number | None = None
    positions: Positions = "all"

    @property
    def edit(self) -> Edit:
        """The edit."""
        return Edit(
            Direction(self.layer, self.name, torch.tensor(self.vector)),
            self.op,
            self.value,
            self.gain,
            self.positions,
        )


class EdgeEntry(_Strict):
    """A predicted edge."""

    gain: Number | None
    alignment: Number | None
    method: Text
    tier: int
    censored: bool

    @property
    def edge(self) -> Edge:
        """The edge."""
        return Edge(self.gain, self.method, self.tier, alignment=self.alignment)


class WindowEntry(_Strict):
    """The predicted window of one branch."""

    branch: Text
    budget: Number
    ceiling: EdgeEntry
    trigger: EdgeEntry | None = None


class ModelEntry(_Strict):
    """The model a recipe is for."""

    name: Text
    sha256: Text


class BehaviorEntry(_Strict):
    """The behavior a recipe was made for."""

    name: Text
    sha256: Text
    sensitive: bool


class RecipeFile(_Strict):
    """The file of a recipe."""

    schema_version: Literal[1]
    name: Text
    model: ModelEntry
    behavior: BehaviorEntry | None = None
    edits: Annotated[
        tuple[Annotated[NeuronEntry | VectorEntry, Field(discriminator="op")], ...],
        Field(min_length=1),
    ]
    windows: tuple[WindowEntry, ...] = ()
    source: dict[str, str] = {}


def parsed(written: object) -> RecipeFile:
    """The file's content, checked; InputError names the first fault."""
    version = written.get("schema_version") if isinstance(written, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"schema_version is {version!r}, this fulcra reads {SCHEMA_VERSION}; make the recipe"
            " anew"
        )
    try:
        return RecipeFile.model_validate(written)
    except ValidationError as error:
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in fault["loc"] if part not in OPS)
    if fault["type"] == "extra_forbidden":
        raise InputError(f"unknown key {where!r}; take it out")
    if fault["type"] == "missing":
        raise InputError(f"the key {where!r} is missing; add it")
    raise InputError(
        f"{where}: {fault['msg'].removeprefix('Value error, ')}, found {str(fault['input'])[:60]};"
        " mend it"
    )


#: pydantic names the branch of a union in a fault's place; it is no key of the file.
OPS = frozenset(("add", "scale", "pin", "anchor", "add_vector", "add_mlp", "ablate_direction"))


def edit_entry(edit: Edit) -> dict[str, object]:
    """An edit as the file holds it."""
    dose = {"value": edit.value, "gain": edit.gain, "positions": edit.positions}
    if isinstance(edit.site, Direction):
        return {
            "op": edit.op,
            "layer": edit.site.layer,
            "name": edit.site.name,
            "vector": edit.site.vector.tolist(),
            **dose,
        }
    tied = {} if edit.anchor is None else {"k": edit.anchor.k, "gap": edit.anchor.gap}
    return {"op": edit.op, "neuron": str(edit.site), **dose, **tied}
