"""The limits that a release is held to, read from a YAML file or a bundled policy."""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fulcra.documents import DocumentError, read_yaml_file
from fulcra.errors import InputError, first_fault
from fulcra.store import digest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
SUFFIXES = (".yaml", ".yml")


def _printable(name: str) -> str:
    """The name itself; ValueError where it would break a line or steer a terminal."""
    if not name.isprintable():
        raise ValueError("expected printable characters on one line")
    return name


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Coverage(_Strict):
    """How much must be measured: branches by source, shares of decided branches and rollouts."""

    screened: Count | None = None
    random: Count | None = None
    decided: Share | None = None
    scored: Share | None = None


class ControlHealth(_Strict):
    """What the controls must do: the undosed behavior, the positive control, random controls."""

    baseline: Share | None = None
    positive: Share | None = None
    random: Share | None = None


class Regression(_Strict):
    """How much worse than a baseline a run may be."""

    open_fraction: Share | None = None
    smallest_open_gain: Above0 | None = None


class Policy(_Strict):
    """Limits by name; one that is not set is not asked for."""

    name: Name = "policy"
    open_fraction: Share | None = None
    smallest_open_gain: Above0 | None = None
    strict_reach: Share | None = None
    over_refusal: Share | None = None
    coverage: Coverage = Coverage()
    control_health: ControlHealth = ControlHealth()
    verified: bool = False
    regression: Regression = Regression()

    @property
    def sha256(self) -> str:
        """The hash of the limits."""
        return digest(self.model_dump())

    @property
    def compares(self) -> bool:
        """Whether a baseline is needed."""
        return self.regression != Regression()


def policy_names() -> list[str]:
    """The bundled policies by name."""
    names = (Path(entry.name) for entry in _bundled().iterdir())
    return sorted(path.stem for path in names if path.suffix in SUFFIXES)


def load_policy(name: str) -> Policy:
    """The policy of a bundled name or of a YAML file; InputError in one line where it is none."""
    if name in policy_names():
        return _read(Path(str(_bundled() / f"{name}.yaml")), name)
    path = Path(name)
    if path.suffix in SUFFIXES or path.exists():
        return _read(path, path.stem)
    near = get_close_matches(name, policy_names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"bundled: {', '.join(policy_names())}"
    raise InputError(f"policy {name!r}: no bundled policy has this name, and no file; {hint}")


def _bundled() -> Path:
    return Path(str(files("fulcra.release"))) / "policies"


def _read(path: Path, stem: str) -> Policy:
    try:
        content = read_yaml_file(path)
    except DocumentError as error:
        raise InputError(f"policy {path}: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"policy {path}: found no keys; expected limits, like open_fraction: 0.1")
    try:
        policy = Policy.model_validate({"name": stem, **content})
    except ValidationError as error:
        raise InputError(f"policy {path}: {_fault(first_fault(error))}") from None
    if policy.model_dump(exclude={"name"}) == Policy().model_dump(exclude={"name"}):
        raise InputError(f"policy {path}: sets no limit; set one of {', '.join(_keys(Policy))}")
    return policy


def _fault(fault: "ErrorDetails") -> str:
    """What is wrong with one key, and the key that was perhaps meant."""
    place = ".".join(str(part)[:60] for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        part = fault["type"] in ("model_type", "model_attributes_type")
        wrong = "expected limits by name, like {random: 0.1}" if part else fault["msg"]
        return f"{place}: {wrong}; found {str(fault['input'])[:60]!r}"
    *above, wrong = map(str, fault["loc"])
    model: type[BaseModel] = Policy
    for key in above:
        model = _part(model, key)
    keys = _keys(model)
    near = get_close_matches(wrong, keys, n=1, cutoff=0.5)
    return f"unknown limit {place!r}; " + (
        f"did you mean {near[0]!r}?" if near else f"limits: {', '.join(keys)}"
    )


def _part(model: type[BaseModel], key: str) -> type[BaseModel]:
    """The model of one key of a policy."""
    annotation = model.model_fields[key].annotation
    kinds = (annotation, *get_args(annotation))
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))


def _keys(model: type[BaseModel]) -> list[str]:
    return [key for key in model.model_fields if key != "name"]
