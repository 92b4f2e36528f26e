"""Which models are held out, and where they are: the split file (law.md section 5, lineages)."""

from pathlib import Path
from typing import Any, Literal, final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fulcra.errors import InputError, first_fault
from fulcra.models import Model, bundled_names, load
from fulcra.organisms.domains import APOTHECARY
from fulcra.store import digest


@final
class Lineage(BaseModel):
    """Models that share pretraining: whose ceilings are measured, and which windows, by model and
    behavior.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    recipe: str
    world: str = APOTHECARY.name
    ceilings: tuple[str, ...] = ()
    verdicts: dict[str, tuple[str, ...]] = {}
    reference: str | None = None
    openings: Literal["world", "plain"] = "world"

    @property
    def models(self) -> tuple[str, ...]:
        """Every model the study measures here, once."""
        return tuple(dict.fromkeys([*self.ceilings, *self.verdicts]))


@final
class Split(BaseModel):
    """The lineages on which choices were made, and those that no choice has seen; models that serve
    the study's other parts.

    `detector` and `stories` validate the coherence detector, `ladder` are the organisms of the
    ladder: both need no lineage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    development: tuple[Lineage, ...]
    held_out: tuple[Lineage, ...]
    detector: tuple[str, ...] = ()
    stories: tuple[str, ...] = ()
    ladder: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the study needs, once; organisms of the ladder may be missing."""
        return tuple(
            dict.fromkeys(
                [
                    *(name for one in self.lineages for name in one.models),
                    *self.detector,
                    *self.stories,
                ]
            )
        )

    @property
    def sha256(self) -> str:
        """The hash printed before anything is measured."""
        return digest(self.model_dump())

    @property
    def lineages(self) -> tuple[Lineage, ...]:
        """All lineages, development first."""
        return self.development + self.held_out

    def is_held_out(self, lineage: Lineage) -> bool:
        """Whether no choice was made on it."""
        return lineage in self.held_out


def read_split(path: Path) -> Split:
    """The split of a file; InputError names what is wrong, also a lineage or model named twice."""
    try:
        loaded: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        split = Split.model_validate(loaded)
    except OSError as error:
        raise InputError(
            f"--split {path}: cannot be read ({error.strerror}); give the file of lineages,"
            " validation/split.yaml"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(
            f"--split {path}: not YAML ({' '.join(str(error).split())}); check its indentation"
        ) from None
    except ValidationError as error:
        fault = first_fault(error)
        raise InputError(
            f"--split {path}: {'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}; see"
            " validation/split.yaml"
        ) from None
    for kind, names in (
        ("lineage", [one.name for one in split.lineages]),
        ("model", [m for one in split.lineages for m in one.models]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"--split {path}: {kind} {twice[0]} stands there twice; what shares pretraining is"
                " one lineage, keep it in one"
            )
    return split


@final
class Cabinet:
    """Where models of a split are looked for: among the bundled ones, then in a folder."""

    def __init__(self, organisms: Path | None = None) -> None:
        self.organisms = organisms

    def _place(self, name: str) -> str | None:
        if name in bundled_names():
            return name
        path = None if self.organisms is None else self.organisms / name
        return (
            str(path)
            if path is not None
            and (path / "config.json").is_file()
            and any(path.glob("*.safetensors"))
            else None
        )

    def missing(self, split: Split) -> list[str]:
        """The models that the study needs and that are nowhere."""
        return [name for name in split.models if self._place(name) is None]

    def has(self, name: str) -> bool:
        """Whether the model is there."""
        return self._place(name) is not None

    def load(self, name: str) -> Model:
        """The model of this name; InputError where it is nowhere."""
        place = self._place(name)
        if place is None:
            raise InputError(
                f"model {name}: not bundled and not in {self.organisms or 'any folder'}; train it,"
                " or give --organisms DIR"
            )
        return load(place)
