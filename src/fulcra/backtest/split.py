"""Which models are held out: the split file, and where its models are (law.md section 5)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import final

from pydantic import ValidationError

from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.splits import N_GENERIC
from fulcra.behaviors.world_behavior import generic_openings
from fulcra.documents import DocumentError, read_yaml_file
from fulcra.errors import InputError, first_fault
from fulcra.models import Model, load
from fulcra.organisms.planted import bundled_names
from fulcra.protocol.collapse import Bench
from fulcra.protocol.results.split import Lineage, Split
from fulcra.protocol.subject import Ground, ground_of

#: The split of the published study.
SHIPPED = Path(str(files("fulcra.backtest") / "split.yaml"))


@dataclass(frozen=True, slots=True)
class LineageModel:
    """A loaded model of a lineage; `reference` judges its coherence (None: the model itself)."""

    lineage: Lineage
    model: Model
    reference: Model | None = None

    @property
    def openings(self) -> tuple[str, ...]:
        """The generic openings that models of the lineage can read."""
        if self.lineage.openings == "plain":
            return OPENINGS
        return generic_openings(self.lineage.world)

    def ground(self, seed: int) -> Ground:
        """The clean facts that ceilings are predicted from, of the first openings."""
        openings = self.openings[:N_GENERIC]
        return ground_of(self.model, openings, seed, reference=self.reference)

    def bench(self, ground: Ground) -> Bench:
        """What ceilings are measured on: the openings that served no prediction."""
        prompts = tuple(self.model.prompt_ids(text) for text in self.openings[N_GENERIC:])
        return Bench(ground, prompts, ground.standard)


def read_split(path: Path) -> Split:
    """The split of a file; InputError names what is wrong, also a lineage or model named twice."""
    try:
        split = Split.model_validate(read_yaml_file(path))
    except DocumentError as error:
        raise InputError(f"--split {path}: {error}") from None
    except ValidationError as error:
        fault = first_fault(error)
        raise InputError(
            f"--split {path}: {'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}; see the"
            " shipped one, fulcra/backtest/split.yaml"
        ) from None
    _require_once(path, "lineage", [lineage.name for lineage in split.lineages])
    _require_once(path, "model", [name for lineage in split.lineages for name in lineage.models])
    return split


def _require_once(path: Path, kind: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(
            f"--split {path}: {kind} {twice[0]} stands there twice; what shares pretraining is"
            " one lineage, keep it in one"
        )


@final
class Cabinet:
    """Where models of a split are looked for: among the bundled ones, then in a folder.

    In the folder a model is a folder of its own, or a GGUF file.
    """

    def __init__(self, organisms: Path | None = None) -> None:
        self.organisms = organisms

    def _place(self, name: str) -> str | None:
        if name in bundled_names():
            return name
        if self.organisms is None:
            return None
        path = self.organisms / name
        if path.suffix == ".gguf" and path.is_file():
            return str(path)
        whole = (path / "config.json").is_file() and any(path.glob("*.safetensors"))
        return str(path) if whole else None

    def missing(self, split: Split) -> list[str]:
        """The models that the study needs and that are nowhere."""
        return [name for name in split.models if not self.has(name)]

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

    def members(self, lineage: Lineage) -> Iterator[LineageModel]:
        """The models of a lineage that are there, one after the other, with their reference."""
        names = [name for name in lineage.models if self.has(name)]
        reference = lineage.reference
        judge = self.load(reference) if names and reference and self.has(reference) else None
        for name in names:
            yield LineageModel(lineage, self.load(name), judge)
