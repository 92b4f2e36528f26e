"""A recipe: edits for one model, the behavior they are for, the windows predicted for them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.splits import shortened
from fulcra.engines.edit import branch_coordinate, resolve
from fulcra.errors import InputError, first_fault
from fulcra.law.forecast import predict_ceiling
from fulcra.models import Model
from fulcra.models.control_vector import ControlVector, control_vector
from fulcra.models.edits import require_edits, require_numbers
from fulcra.protocol.edit_entries import OPS, FiledEdit, Number, Text
from fulcra.protocol.results.audit import AuditResult, Predicted
from fulcra.protocol.results.base import Value
from fulcra.protocol.results.commitment import BranchEntry, Commitment, predicted_entry
from fulcra.store import COMMITMENT, digest, plain, read_json, write_json
from fulcra.types import Behavior, Branch, Edit, Edits, Neuron

SCHEMA_VERSION: Final = 1


class PredictedWindow(Value):
    """The predicted window of one branch: its budget [activation units], ceiling and trigger.

    The trigger is None where no openings are known.
    """

    branch: Text
    budget: Number
    ceiling: Predicted
    trigger: Predicted | None = None


#: The name of a recipe in its folder.
FILE = "recipe.json"


class RecipeModel(Value):
    """The model a recipe is for."""

    name: Text
    sha256: Text


class RecipeBehavior(Value):
    """The behavior a recipe was made for.

    `prompts` a split and `horizon` [tokens] are the limits of an audit that took less of it; the
    hash is of what was taken.
    """

    name: Text
    sha256: Text
    sensitive: bool
    prompts: int | None = None
    horizon: int | None = None

    def taken_from(self, whole: Behavior) -> Behavior | None:
        """The behavior within these limits; None where it is another one."""
        taken = shortened(whole, self.prompts, self.horizon)
        return taken if behavior_sha256(taken) == self.sha256 else None


class Recipe(Value):
    """Edits with resolved doses, the model and behavior they are for, and predicted windows.

    A recipe is what its file says: doses and vectors have six digits there.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Text
    model: RecipeModel
    behavior: RecipeBehavior | None = None
    edits: Annotated[tuple[FiledEdit, ...], Field(min_length=1)]
    windows: tuple[PredictedWindow, ...] = ()
    source: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The recipe of a file or its folder; InputError in one line where it cannot be one."""
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise InputError(
                f"recipe {path}: no such file; make one with `fulcra recipe RUN --branch NAME --out"
                " DIR`"
            )
        try:
            return cls.of(read_json(path))
        except InputError as error:
            raise InputError(f"recipe {path}: {error}") from None

    @classmethod
    def of(cls, content: object) -> Self:
        """The recipe of a file's content; InputError names the first fault."""
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise InputError(
                f"schema_version is {version!r}, this fulcra reads {SCHEMA_VERSION}; make the"
                " recipe anew"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(_fault(error)) from None

    def save(self, folder: str | Path) -> Path:
        """Write the recipe into a folder, as recipe.json; returns its path."""
        path = Path(folder) / FILE
        write_json(path, self.plain())
        return path

    def plain(self) -> dict[str, object]:
        """The recipe as its file holds it, every key of it."""
        content: dict[str, object] = plain(self.model_dump())
        return content

    @property
    def sha256(self) -> str:
        """Hash of all that the recipe says."""
        return digest(self.plain())

    @property
    def sensitive(self) -> bool:
        """Whether completions are told by label, length and salted hash alone."""
        return self.behavior is not None and self.behavior.sensitive

    def require(self, model: Model) -> Self:
        """The recipe itself; InputError unless it is for this model, which has what it edits."""
        if model.sha256 != self.model.sha256:
            raise InputError(
                f"recipe {self.name!r}: made for {self.model.name} with weights"
                f" {self.model.sha256[:12]}, {model.name} has weights {model.sha256[:12]}; doses do"
                " not carry over, make a recipe for this model"
            )
        require_edits(model, self.edits)
        return self

    def for_others(self) -> Self:
        """The recipe itself; InputError where it is of a sensitive behavior: that stays here."""
        if self.sensitive:
            raise InputError(
                f"recipe {self.name!r}: made for a sensitive behavior; its doses stay in fulcra"
            )
        return self

    def control_vector(self, model: Model) -> ControlVector:
        """What llama.cpp is to add in place of the edits; InputError where it would do otherwise.

        Recipes of sensitive behaviors stay in fulcra.
        """
        return control_vector(model, self.for_others().require(model).edits)

    def window(self, branch: str) -> PredictedWindow | None:
        """The window predicted for a branch, by its name; None where none was."""
        return next((window for window in self.windows if window.branch == branch), None)


def _fault(error: ValidationError) -> str:
    """The first fault of a file, and what to do about it."""
    fault = first_fault(error)
    where = ".".join(str(part) for part in fault["loc"] if part not in OPS)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where!r}; take it out"
    if fault["type"] == "missing":
        return f"the key {where!r} is missing; add it"
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, found {str(fault['input'])[:60]}; mend it"


def recipe(
    model: Model,
    edits: Sequence[Edit],
    name: str,
    behavior: Behavior | None = None,
    windows: Sequence[PredictedWindow] | None = None,
) -> Recipe:
    """A recipe of any edits for a loaded model: gains become doses, ceilings are predicted.

    Gains, budgets and ceilings are those on the generic text of `behavior` under its system prompt,
    as its audits have them; without one those on the bundled openings. `windows` are those
    predicted already. Cost without them: `predict_ceiling` a dosed branch, two for a neuron that is
    scaled or held. InputError without an edit or a name, or for what the model lacks.
    """
    if not edits or not name.strip():
        lacks = "edits is empty; give one or more" if name.strip() else "name is empty; give one"
        raise InputError(f"recipe(): {lacks}")
    resolved = tuple(require_numbers(resolve(model, edit, behavior)) for edit in edits)
    require_edits(model, resolved)
    if windows is None:
        windows = [_window(model, branch, behavior) for branch in dosed_branches(resolved)]
    return Recipe(
        name=name,
        model=RecipeModel(name=model.name, sha256=model.sha256),
        behavior=None if behavior is None else _made_for(behavior),
        edits=resolved,
        windows=tuple(windows),
    )


def _made_for(behavior: Behavior) -> RecipeBehavior:
    sha256 = behavior_sha256(behavior)
    return RecipeBehavior(name=behavior.name, sha256=sha256, sensitive=behavior.sensitive)


def _window(model: Model, branch: Branch, behavior: Behavior | None) -> PredictedWindow:
    ceiling = (
        predict_ceiling(model, branch)
        if behavior is None
        else predict_ceiling(model, branch, behavior.generic, system=behavior.system)
    )
    return PredictedWindow(
        branch=str(branch),
        budget=branch_coordinate(model, branch, behavior=behavior).budget,
        ceiling=predicted_entry(ceiling),
    )


def dosed_branches(edits: Edits) -> list[Branch]:
    """The branches along which edits move the stream, each once.

    Both poles of a neuron that is scaled or held; none of a whole direction.
    """
    branches: list[Branch] = []
    for edit in edits:
        if edit.op == "add_vector":
            branches.append(edit.site)
        elif isinstance(edit.site, Neuron):
            up = replace(edit.site, pole=1)
            poles = (up, up.opposite)
            branches += poles if edit.op != "add" else poles[edit.value < 0 :][:1]
    return list(dict.fromkeys(branches))


def recipe_of_run(
    folder: Path, branch: str, gain: float | None = None, edit: Edit | None = None
) -> Recipe:
    """The recipe of one audited branch, with the windows committed for both its poles.

    An additive dose of `gain` budgets, by default of the run's best gain below the measured
    ceiling; or any `edit` of the neuron. No model is needed.
    """
    result = AuditResult.load(folder)
    committed = read_json(folder / COMMITMENT)
    branches = Commitment.model_validate(committed["content"]).branches
    entries, neuron = {entry.branch: entry for entry in branches}, Neuron.parse(branch)
    if str(neuron) not in entries:
        raise InputError(
            f"recipe: {folder} measured no branch {neuron}; it measured {', '.join(entries)}"
        )
    if edit is None:
        best = next(each.outcomes_gain for each in result.neurons if each.name == str(neuron))
        edit = _dose(entries[str(neuron)], neuron, best if gain is None else gain)
    poles = [str(pole) for pole in (neuron, neuron.opposite) if str(pole) in entries]
    audited = result.behavior
    return Recipe(
        name=str(edit),
        model=RecipeModel(name=result.model.name, sha256=result.model.sha256),
        behavior=RecipeBehavior(
            name=audited.name,
            sha256=audited.sha256,
            sensitive=audited.sensitive,
            prompts=result.settings.prompts,
            horizon=result.settings.horizon,
        ),
        edits=(edit,),
        windows=tuple(_committed_window(entries[pole]) for pole in poles),
        source={"commitment": committed["sha256"]},
    )


def _dose(entry: BranchEntry, neuron: Neuron, gain: float | None) -> Edit:
    if gain is None:
        raise InputError(f"recipe: no gain of {neuron} is the run's best; give --gain")
    if entry.cap_alignment is not None:
        raise InputError(
            f"recipe: a norm after the MLP bends the dose of {neuron}, so a gain names no"
            " activation; give --alpha or --pin"
        )
    return require_numbers(Edit(neuron, "add", gain * entry.budget * neuron.pole, gain))


def _committed_window(entry: BranchEntry) -> PredictedWindow:
    return PredictedWindow(
        branch=entry.branch,
        budget=entry.budget,
        ceiling=entry.ceiling_predicted,
        trigger=entry.trigger_predicted,
    )
